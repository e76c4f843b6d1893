"""One bound on the decoded records that a worker holds, over all of its shards."""

import asyncio

from ingest.batch import ShardId
from ingest.runtime.clock import Clock


class Budget:
    """Bytes held by shard.

    Promise: a reader that waits for `room` before each read lets the sum exceed `limit_bytes` by no more than what
    the shards' reads in progress bring. A shard that holds nothing always finds room where nobody holds anything.
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
        """Whether readers wait, or will soon: flush what there is."""
        return self._waiting > 0 or self.used_bytes > self.limit_bytes * 3 // 4

    def hold(self, shard_id: ShardId, size: int) -> None:
        """Count decoded records; less than nothing where small batches were put together."""
        self._held[shard_id] = self._held.get(shard_id, 0) + size
        if size < 0:
            self._wake()

    def free(self, shard_id: ShardId, size: int) -> None:
        """Uncount what was committed."""
        left = self._held.get(shard_id, 0) - size
        if left > 0:
            self._held[shard_id] = left
        else:
            self._held.pop(shard_id, None)
        self._wake()

    def drop(self, shard_id: ShardId) -> None:
        """Uncount all of a shard that was let go."""
        self._held.pop(shard_id, None)
        self._wake()

    async def room(self) -> None:
        """Come back once less than the limit is held."""
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
