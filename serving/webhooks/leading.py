"""One process of a region tells what happens; the others stand by."""

import asyncio
import time
from collections.abc import Callable

import psycopg
import structlog

from serving.problems import StoreAway
from serving.stores.webhooks import Webhooks
from serving.webhooks.sending import Sending
from serving.webhooks.watching import Watching

_LOCK = "select pg_try_advisory_lock(hashtextextended('serving.webhooks', 0))"
_BEAT_S = 1.0
_STAND_BY_S = 5.0
_FORGET_EVERY_S = 3_600.0
_CONNECT_S = 5
_log = structlog.get_logger(__name__)


class Leading:
    """Leads while it holds a lock of Postgres, on a connection of its own: whoever loses it leads no more."""

    def __init__(
        self,
        dsn: str,
        region: str,
        webhooks: Webhooks,
        watching: Callable[[], Watching],
        sending: Callable[[], Sending],
    ) -> None:
        self._dsn, self._region, self._webhooks = dsn, region, webhooks
        self._watching, self._sending = watching, sending

    async def run(self) -> None:
        """Stand by, and lead when the others do not, until cancelled."""
        while True:
            try:
                await self._lead_if_nobody_does()
            except (psycopg.Error, StoreAway, OSError) as error:
                _log.warning("serving.webhooks_away", region=self._region, error=type(error).__name__)
            except Exception:  # noqa: BLE001 - it is told, and the next turn begins anew
                # A fault of the program must not end webhooks until the process does: it is tried again, and seen.
                _log.exception("serving.webhooks_failed", region=self._region)
            await asyncio.sleep(_STAND_BY_S)

    async def _lead_if_nobody_does(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._dsn, autocommit=True, connect_timeout=_CONNECT_S)
        async with connection:
            found = await (await connection.execute(_LOCK)).fetchone()
            if found is None or not found[0]:
                return
            _log.info("serving.webhooks_led", region=self._region)
            await self._lead(connection)

    async def _lead(self, connection: "psycopg.AsyncConnection[tuple[object, ...]]") -> None:
        watching, sending = self._watching(), self._sending()
        forgot_at_s = float("-inf")
        try:
            await watching.begin()
            while True:
                await connection.execute("select 1")
                await watching.look()
                await sending.send_due()
                if time.monotonic() - forgot_at_s > _FORGET_EVERY_S:
                    await self._webhooks.forget()
                    forgot_at_s = time.monotonic()
                await asyncio.sleep(_BEAT_S)
        finally:
            await sending.close()
