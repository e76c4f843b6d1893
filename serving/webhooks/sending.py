"""Delivers what there is to tell: at least once, signed, each try later than the one before."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import aiohttp
import structlog

from serving.metrics import Metrics
from serving.problems import StoreAway
from serving.stores.postgres import Row
from serving.stores.webhooks import Webhooks
from serving.webhooks.reaching import session
from serving.webhooks.signing import headers_of, secret_of

PAUSES_S = (5, 30, 120, 600, 3_600, 3 * 3_600, 6 * 3_600, 12 * 3_600)
"""How long a delivery waits after each try that fails; after one more it is given up."""
WITHIN_S = 10.0
"""A receiver answers by then, or the try failed."""
BOTH_SECRETS = timedelta(hours=24)
"""For so long after a secret was turned, deliveries are signed with the one before too."""
_AT_ONCE, _OF_ONE = 64, 8
_GONE = 410
_GOOD = range(200, 300)
_log = structlog.get_logger(__name__)


class Sending:
    """Sends deliveries that are due. A receiver that is slow or away takes its own places alone."""

    def __init__(self, webhooks: Webhooks, key: bytes, metrics: Metrics, private: bool) -> None:
        self._webhooks, self._key, self._metrics, self._private = webhooks, key, metrics, private
        self._under_way: Counter[UUID] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._client: aiohttp.ClientSession | None = None

    async def send_due(self) -> None:
        """Begin to send what is due. Raises StoreAway."""
        places = _AT_ONCE - len(self._tasks)
        if places <= 0:
            return
        busy = [webhook for webhook, count in self._under_way.items() if count >= _OF_ONE]
        for row in await self._webhooks.claim(PAUSES_S, busy, min(places, _OF_ONE)):
            self._under_way[row["webhook_id"]] += 1
            task = asyncio.create_task(self._deliver(row))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop. What is under way is sent again by whoever leads next."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    async def _deliver(self, row: Row) -> None:
        webhook, event = row["webhook_id"], row["event_id"]
        try:
            status, answer = await self._post(row)
            good, given_up = status in _GOOD, status == _GONE or row["attempts"] > len(PAUSES_S)
            state = "delivered" if good else "given_up" if given_up else "waiting"
            self._metrics.webhooks.labels("delivered" if good else "failed").inc()
            if not good:
                _log.info("serving.webhook_failed", webhook=str(webhook), attempt=row["attempts"], answer=answer)
            await self._webhooks.settle(webhook, event, state, answer)
            if status == _GONE:
                await self._webhooks.gone(webhook)
        except StoreAway:
            _log.warning("serving.webhook_unsettled", webhook=str(webhook))
        finally:
            self._under_way[webhook] -= 1
            self._under_way += Counter()

    async def _post(self, row: Row) -> tuple[int, str]:
        """The status of the answer, 0 where there is none, and a word for the customer."""
        if self._client is None:
            self._client = session(self._private, WITHIN_S)
        body = row["body"].encode()
        headers = headers_of(row["event_id"], round(time.time()), body, self._secrets(row))
        try:
            async with self._client.post(row["url"], data=body, headers=headers, allow_redirects=False) as answer:
                return answer.status, f"{answer.status}"
        except TimeoutError:
            return 0, f"no answer within {WITHIN_S:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return 0, _word_for(error)

    def _secrets(self, row: Row) -> list[bytes]:
        generation, turned = row["generation"], row["turned_at"]
        both = turned is not None and datetime.now(UTC) - turned < BOTH_SECRETS
        return [
            secret_of(self._key, row["webhook_id"], one)
            for one in ((generation, generation - 1) if both else (generation,))
        ]


def _word_for(error: Exception) -> str:
    """What went wrong, without what the network behind this service looks like."""
    if isinstance(error, aiohttp.ClientSSLError):
        return "its certificate is not believed"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name has no public address"
    if isinstance(error, aiohttp.ClientConnectionError):
        return "no connection"
    return "no answer that is HTTP"
