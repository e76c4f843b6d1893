"""Lets a shard go once everything read of it is committed, and reads on until then."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from ingest.runtime.tasks import cancelled
from ingest.worker.shards.delivering import Delivering

_T = TypeVar("_T")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 8.0
"""How long reading pauses for a hand-over; twice as long each time that a flush commits and more has been read."""
_log = structlog.get_logger()


class HandOver:
    """When a shard that is asked for may be let go.

    Promises
    - It may be let go once everything read is committed; then nothing of it is read any more.
    - Reading pauses for that, at first for FIRST_PAUSE_S. Where landing or the ledger does not take what was read in
      that time, reading goes on, so that live state stays fresh, and pauses again only after a flush has committed:
      once in an outage, however long it is.
    """

    def __init__(self, delivery: Delivering) -> None:
        self._delivery = delivery
        self._asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pause_s = FIRST_PAUSE_S
        self._commits_before = -1

    def ask(self) -> None:
        """From now on the shard should go."""
        if not self._asked.done():
            self._asked.set_result(None)

    async def unless_over(self, read: Coroutine[Any, Any, _T]) -> _T | None:
        """What is read next; None where the shard may be let go, and that is dropped."""
        reading = asyncio.ensure_future(read)
        try:
            await asyncio.wait((reading, self._asked), return_when=asyncio.FIRST_COMPLETED)
            while self._asked.done():
                if await self._all_committed():
                    return None
                if reading.done():
                    break
                await self._answer_or_commit(reading)
            return reading.result()
        finally:
            await cancelled([reading])
            if not reading.cancelled():
                reading.exception()

    async def _all_committed(self) -> bool:
        """Whether it is, after a pause where there is hope."""
        delivery = self._delivery
        if delivery.commits == self._commits_before:
            return False
        try:
            async with asyncio.timeout(self._pause_s):
                await delivery.all_committed()
        except TimeoutError:
            if self._commits_before < 0:
                _log.warning("lease.kept", shard=delivery.lease.shard_id, why="what was read is not committed yet")
            self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s)
            self._commits_before = delivery.commits
            return False
        return True

    async def _answer_or_commit(self, reading: "asyncio.Future[Any]") -> None:
        commit = asyncio.ensure_future(self._delivery.next_commit())
        try:
            await asyncio.wait((reading, commit), return_when=asyncio.FIRST_COMPLETED)
        finally:
            commit.cancel()
