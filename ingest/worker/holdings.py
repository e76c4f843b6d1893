"""The shards that a worker owns just now, each read by a task of its own."""

import asyncio
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from contracts.errors import FleetlakeError, ShardFailed
from contracts.ledger import LeaseRow
from ingest.batch import ShardId
from ingest.metrics import Metrics
from ingest.worker.ending import cancelled
from ingest.worker.shard import Ending, ShardTask

_FRAMES = 6
_log = structlog.get_logger()


class Holdings:
    """Starts a task for each lease taken, and forgets it when it has ended.

    A task that fails in a way that no retry can mend is kept in `failure`: the worker must stop.
    """

    def __init__(self, make: Callable[[LeaseRow], ShardTask], metrics: Metrics) -> None:
        self.failure: BaseException | None = None
        self._make = make
        self._metrics = metrics
        self._held: dict[ShardId, tuple[ShardTask, asyncio.Task[Ending]]] = {}

    def __contains__(self, shard_id: ShardId) -> bool:
        return shard_id in self._held

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[ShardTask]:
        return iter([task for task, _ in self._held.values()])

    @property
    def idle(self) -> bool:
        """Whether every shard is at its tip with everything committed."""
        return all(task.idle for task in self)

    def start(self, lease: LeaseRow) -> None:
        """Read the shard."""
        shard = self._make(lease)
        running = asyncio.create_task(shard.run(), name=f"shard {lease.shard_id}")
        self._held[lease.shard_id] = (shard, running)
        running.add_done_callback(lambda done: self._ended(lease, done))
        self._event("taken", lease)

    def lost(self, shard_id: ShardId) -> None:
        """Drop a shard whose lease is another's."""
        if shard_id in self._held:
            self._held[shard_id][1].cancel()

    async def let_go(self, within_s: float) -> list[ShardId]:
        """Flush, commit and release all; the shards for which that took too long and which were dropped."""
        running = [task for _, task in self._held.values()]
        for shard in self:
            shard.stop()
        late: list[ShardId] = []
        if running:
            await asyncio.wait(running, timeout=within_s)
            late = list(self._held)
            await cancelled(running)
        return late

    def _ended(self, lease: LeaseRow, done: asyncio.Task[Ending]) -> None:
        self._held.pop(lease.shard_id, None)
        if done.cancelled():
            self._event("dropped", lease)
        elif (error := done.exception()) is not None:
            self.failure = error if isinstance(error, FleetlakeError) else _unquoted(lease.shard_id, error)
            self._event("failed", lease)
            _log.error("shard.failed", shard=lease.shard_id, error=str(self.failure))
        else:
            self._event(done.result().value, lease)

    def _event(self, event: str, lease: LeaseRow) -> None:
        self._metrics.lease_events.labels(event).inc()
        self._metrics.shards.set(len(self._held))
        _log.info("lease." + event, shard=lease.shard_id, fence=lease.fence)


def _unquoted(shard_id: ShardId, error: BaseException) -> ShardFailed:
    """What broke and where: an error's own text may quote a record."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    places = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames)]
    return ShardFailed(f"{shard_id}: {type(error).__name__} at {' < '.join(places)}")
