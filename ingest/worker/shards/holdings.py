"""The shards that a worker owns, each read by a task of its own."""

import asyncio
import math
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from contracts.errors import FleetlakeError, ShardFailed
from contracts.ledger import LeaseRow
from ingest.batch import ShardId
from ingest.runtime.clock import Clock
from ingest.runtime.metrics import Metrics
from ingest.runtime.retry import Backoff
from ingest.runtime.tasks import cancelled
from ingest.worker.shards.task import Ending, ShardTask

_FRAMES = 6
_PAUSES = Backoff(5.0, 300.0)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that waiting does not cure ended a shard's task: how often in a row, and when to try again."""

    kind: str
    error: FleetlakeError
    times: int
    again_s: float


class Holdings:
    """Starts a task for each lease taken, and forgets the task when it has ended.

    Promise: a task that fails with an unexpected error ends alone. Its lease is released, and the shard is paused: this
    worker takes it again only after a pause that grows (`is_paused`), and never where it runs `until_idle`.
    """

    def __init__(
        self, make: Callable[[LeaseRow], ShardTask], metrics: Metrics, clock: Clock, *, until_idle: bool = False
    ) -> None:
        self.failures: dict[ShardId, Failure] = {}
        self._make = make
        self._metrics = metrics
        self._clock = clock
        self._until_idle = until_idle
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
        running = asyncio.create_task(self._run(shard), name=f"shard {lease.shard_id}")
        self._held[lease.shard_id] = (shard, running)
        running.add_done_callback(lambda done: self._ended(lease, done))
        self._event("taken", lease)

    @property
    def failed(self) -> dict[ShardId, Failure]:
        """The shards that failed here and are not read again yet."""
        return {shard_id: failure for shard_id, failure in self.failures.items() if shard_id not in self._held}

    def is_paused(self, shard_id: ShardId) -> bool:
        """Whether the shard failed here so recently that it is not taken again yet."""
        failure = self.failures.get(shard_id)
        return failure is not None and self._clock.monotonic_s() < failure.again_s

    def forgive(self, shard_id: ShardId) -> None:
        """Forget that the shard failed, unless it is still paused."""
        if not self.is_paused(shard_id):
            self._set_failure(shard_id, None)

    def lease_lost(self, shard_id: ShardId) -> None:
        """Drop a shard whose lease another worker has."""
        if shard_id in self._held:
            self._held[shard_id][1].cancel()

    async def let_go(self, within_s: float, *, then_s: float) -> list[ShardId]:
        """Flush, commit and release all shards. Those that take longer than `within_s` are released with what is
        committed, in `then_s` more seconds or not at all; returns them."""
        running = [task for _, task in self._held.values()]
        for shard in self:
            shard.stop()
        late: list[ShardId] = []
        if running:
            await asyncio.wait(running, timeout=within_s)
            late = list(self._held)
            for shard in self:
                shard.abandon()
            await asyncio.wait(running, timeout=then_s)
            await cancelled(running)
        return late

    async def _run(self, shard: ShardTask) -> Ending:
        started_s = self._clock.monotonic_s()
        try:
            ending = await shard.run()
        except Exception as error:  # noqa: BLE001 - the other shards go on, whatever breaks one
            self._note(shard, error, self._clock.monotonic_s() - started_s)
            await shard.give_up()
            return Ending.FAILED
        self._set_failure(shard.shard_id, None)
        return ending

    def _note(self, shard: ShardTask, error: Exception, lived_s: float) -> None:
        known = self.failures.get(shard.shard_id)
        times = 1 if known is None or lived_s > _PAUSES.longest_s else known.times + 1
        pause_s = math.inf if self._until_idle else _PAUSES.after_s(times)
        shown = error if isinstance(error, FleetlakeError) else _unquoted(shard.shard_id, error)
        kind, again_s = type(error).__name__, self._clock.monotonic_s() + pause_s
        self._set_failure(shard.shard_id, Failure(kind, shown, times, again_s))
        _log.error("shard.failed", shard=shard.shard_id, kind=kind, error=str(shown), times=times, again_in_s=pause_s)

    def _set_failure(self, shard_id: ShardId, failure: Failure | None) -> None:
        if failure is None:
            self.failures.pop(shard_id, None)
        else:
            self.failures[shard_id] = failure
        self._metrics.failed_shards.set(len(self.failed))

    def _ended(self, lease: LeaseRow, done: asyncio.Task[Ending]) -> None:
        self._held.pop(lease.shard_id, None)
        if done.cancelled():
            self._event("dropped", lease)
        elif (error := done.exception()) is not None:
            _log.error("lease.not_released", shard=lease.shard_id, error=type(error).__name__)
            self._event(Ending.FAILED.value, lease)
        else:
            self._event(done.result().value, lease)

    def _event(self, event: str, lease: LeaseRow) -> None:
        self._metrics.lease_events.labels(event).inc()
        self._metrics.shards.set(len(self._held))
        self._metrics.failed_shards.set(len(self.failed))
        _log.info("lease." + event, shard=lease.shard_id, fence=lease.fence)


def _unquoted(shard_id: ShardId, error: BaseException) -> ShardFailed:
    """The error's class and place, without its text, which may quote a record."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    places = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames)]
    return ShardFailed(f"{shard_id}: {type(error).__name__} at {' < '.join(places)}")
