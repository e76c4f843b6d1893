"""Bounds the bytes of decoded records that a worker holds over all of its shards."""

import asyncio

from ingest.batch import ShardId
from ingest.runtime.clock import Clock

ANSWERS_AT_ONCE = 4
"""Answers that are taken in at the same time: from the first byte of their bodies until their records are held."""


class Budget:
    """Bytes held, by shard.

    Promise: where every reader takes a ReadTurn for each answer, the sum exceeds `limit_bytes` at most by
    ANSWERS_AT_ONCE answers, however many shards there are. While no shard holds anything, there is room.
    """

    def __init__(self, limit_bytes: int, clock: Clock) -> None:
        self.limit_bytes = limit_bytes
        self._clock = clock
        self._held: dict[ShardId, int] = {}
        self._waiting = 0
        self._used = 0
        self.places = asyncio.Semaphore(ANSWERS_AT_ONCE)
        """Of answers, given in the order in which they are asked for."""
        self._changed = asyncio.Event()
        self.full_since_s: float | None = None
        """Since when a reader waits for room."""

    @property
    def used_bytes(self) -> int:
        """Bytes held."""
        return self._used

    @property
    def pressed(self) -> bool:
        """Whether readers wait or will wait soon, so that buffers should be flushed."""
        return self._waiting > 0 or self.used_bytes > self.limit_bytes * 3 // 4

    def hold(self, shard_id: ShardId, size: int) -> None:
        """Add the bytes of decoded records; `size` is negative where joining small batches saved memory."""
        self._set(shard_id, self._held.get(shard_id, 0) + size)
        if size < 0:
            self._wake()

    def free(self, shard_id: ShardId, size: int) -> None:
        """Subtract the bytes that were committed."""
        self._set(shard_id, self._held.get(shard_id, 0) - size)
        self._wake()

    def drop(self, shard_id: ShardId) -> None:
        """Subtract all bytes of a shard that was released."""
        self._set(shard_id, 0)
        self._wake()

    async def room(self) -> None:
        """Wait until less than the limit is held."""
        if self.used_bytes < self.limit_bytes:
            return
        self._waiting += 1
        if self.full_since_s is None:
            self.full_since_s = self._clock.monotonic_s()
        try:
            while self.used_bytes >= self.limit_bytes:
                self._changed.clear()
                await self._changed.wait()
        finally:
            self._waiting -= 1
            if not self._waiting:
                self.full_since_s = None

    def _set(self, shard_id: ShardId, size: int) -> None:
        self._used += max(0, size) - self._held.pop(shard_id, 0)
        if size > 0:
            self._held[shard_id] = size

    def _wake(self) -> None:
        self._changed.set()


class ReadTurn:
    """One reader's Turn (ingest.kinesis.protocol): a place among those that take answers in, once there is room."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._begun = False

    async def begin(self) -> None:
        """Wait for a place, and for room."""
        if self._begun:
            return
        await self._budget.places.acquire()
        self._begun = True
        try:
            await self._budget.room()
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Give the place to the next reader."""
        if self._begun:
            self._begun = False
            self._budget.places.release()
