"""Which device is of which fleet: the region's registry, read as a whole every so often."""

import asyncio
import time
from collections.abc import Mapping

import psycopg
import structlog

_CONNECT_S = 5
_READ_MS = 60_000
_log = structlog.get_logger(__name__)


class Directory:
    """The registry's devices and their fleets. While Postgres is away, what was read last holds on."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.fleet_of: Mapping[str, str] = {}
        self.restricted: frozenset[str] = frozenset()
        """Devices that are stored and not shown: GDPR Art. 18."""
        self._read_at_s = float("-inf")

    @property
    def age_s(self) -> float:
        """Since when it may be out of date; infinity before it was read."""
        return time.monotonic() - self._read_at_s

    async def refresh(self) -> bool:
        """Read it; whether Postgres answered."""
        began_s = time.monotonic()
        try:
            self.fleet_of, self.restricted = await asyncio.to_thread(self._read)
        except psycopg.Error as error:
            _log.warning("serving.directory_unread", error=type(error).__name__)
            return False
        self._read_at_s = began_s
        return True

    def _read(self) -> tuple[dict[str, str], frozenset[str]]:
        shown = "select device_id, fleet_id from registry.shown_device"
        restricted = "select device_id from registry.restriction"
        options = f"-c statement_timeout={_READ_MS}"
        with psycopg.connect(self._dsn, connect_timeout=_CONNECT_S, options=options, autocommit=True) as connection:
            hidden = frozenset(device for (device,) in connection.execute(restricted))
            return dict(connection.execute(shown).fetchall()), hidden
