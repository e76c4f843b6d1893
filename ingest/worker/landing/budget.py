"""Bounds the bytes of decoded records that a worker holds over all of its shards."""

import asyncio

from ingest.batch import ShardId
from ingest.runtime.clock import Clock


class Budget:
    """Bytes held, by shard.

    Promise: where every reader waits for `room` before each read, the sum exceeds `limit_bytes` at most by the reads in
    progress. While no shard holds anything, there is room.
    """

    def __init__(self, limit_bytes: int, clock: Clock) -> None:
        self.limit_bytes = limit_bytes
        self._clock = clock
        self._held: dict[ShardId, int] = {}
        self._waiting = 0
        self._changed = asyncio.Event()
        self.full_since_s: float | None = None
        """Since when a reader waits for room."""

    @property
    def used_bytes(self) -> int:
        """Bytes held."""
        return sum(self._held.values())

    @property
    def pressed(self) -> bool:
        """Whether readers wait or will wait soon, so that buffers should be flushed."""
        return self._waiting > 0 or self.used_bytes > self.limit_bytes * 3 // 4

    def hold(self, shard_id: ShardId, size: int) -> None:
        """Add the bytes of decoded records; `size` is negative where joining small batches saved memory."""
        self._held[shard_id] = self._held.get(shard_id, 0) + size
        if size < 0:
            self._wake()

    def free(self, shard_id: ShardId, size: int) -> None:
        """Subtract the bytes that were committed."""
        left = self._held.get(shard_id, 0) - size
        if left > 0:
            self._held[shard_id] = left
        else:
            self._held.pop(shard_id, None)
        self._wake()

    def drop(self, shard_id: ShardId) -> None:
        """Subtract all bytes of a shard that was released."""
        self._held.pop(shard_id, None)
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

    def _wake(self) -> None:
        self._changed.set()
