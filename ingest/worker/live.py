"""Live state, written beside landing: soon, in few large writes, and never holding landing back."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import structlog

from contracts.errors import SinkUnavailable
from ingest.batch import ShardId
from ingest.clock import Clock
from ingest.live.protocol import LiveState
from ingest.metrics import LIVE, Metrics
from ingest.worker.newest import newest_of_each
from ingest.worker.refusal import write_around
from ingest.worker.settle import Persistence

_log = structlog.get_logger()
MOST_PENDING_ROWS = 500_000
MOST_ROWS_A_WRITE = 200_000
APART_S = 0.3
"""Between the starts of two writes, so that under load a write has several records of a device, of which one counts.
The first record after a rest is written at once."""


@dataclass(slots=True)
class _Waiting:
    since_s: float
    rows: pa.RecordBatch
    marks: dict[ShardId, str]
    """For each shard, the last sequence number that is in live state once these rows are."""


class LiveWriter:
    """Takes decoded rows as they come and writes them to live state.

    Promises
    - `offer` never waits and never fails.
    - While the store is away or slow, at most MOST_PENDING_ROWS rows wait: beyond, only what decides each device's
      newest record and place is kept. Where even that is too much, the rest is dropped and `dirty_since_ms` is set,
      which says that live state must be rebuilt.
    - `written` of a shard is a sequence number up to which every record offered has reached the store.
    """

    def __init__(self, live: LiveState, *, clock: Clock, metrics: Metrics, persistence: Persistence) -> None:
        self.dirty_since_ms: int | None = None
        self._live = live
        self._clock = clock
        self._metrics = metrics
        self._persistence = persistence
        self._pending: list[_Waiting] = []
        self._writing = 0
        self._written: dict[ShardId, str] = {}
        self._wake = asyncio.Event()

    @property
    def pending_rows(self) -> int:
        """Rows that wait or are being written."""
        waiting: int = sum(item.rows.num_rows for item in self._pending)
        return self._writing + waiting

    def begin(self, shard_id: ShardId, written: str) -> None:
        """A shard comes; up to `written` everything is in the store already."""
        self._written[shard_id] = written

    def written(self, shard_id: ShardId) -> str:
        """How far the shard has reached the store."""
        return self._written.get(shard_id, "")

    def offer(self, rows: pa.RecordBatch, shard_id: ShardId, last_seq: str) -> None:
        """Rows of contracts.record.LANDING_SCHEMA, even none, up to a sequence number, to be written soon."""
        self._pending.append(_Waiting(self._clock.monotonic_s(), rows, {shard_id: last_seq}))
        if self.pending_rows > MOST_PENDING_ROWS:
            self._shrink()
        self._metrics.live_pending.set(self.pending_rows)
        self._wake.set()

    async def caught_up(self, shard_id: ShardId, last_seq: str, within_s: float) -> None:
        """Come back once the shard has reached the store up to there, or the time has passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while int(self.written(shard_id) or 0) < int(last_seq or 0):
                    await self._clock.sleep(0.02)

    async def run(self) -> None:
        """Write for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                started_s = self._clock.monotonic_s()
                await self._write_some()
                await self._clock.sleep(max(0.0, started_s + APART_S - self._clock.monotonic_s()))

    async def drained(self) -> None:
        """Come back once nothing waits."""
        while self.pending_rows:
            await self._clock.sleep(0.02)

    async def _write_some(self) -> None:
        item = self._taken()
        self._writing = item.rows.num_rows
        if self._writing:
            await self._persistence.until_done(LIVE, partial(write_around, self._live.write, item.rows, self._metrics))
            self._metrics.live_rows.inc(self._writing)
            self._metrics.live_seconds.observe(self._clock.monotonic_s() - item.since_s)
        self._writing = 0
        if self.dirty_since_ms is None:
            self._written.update(item.marks)
        self._metrics.live_pending.set(self.pending_rows)

    def _taken(self) -> _Waiting:
        taken = [self._pending.pop(0)]
        count = taken[0].rows.num_rows
        while self._pending and count + self._pending[0].rows.num_rows <= MOST_ROWS_A_WRITE:
            count += self._pending[0].rows.num_rows
            taken.append(self._pending.pop(0))
        return _together(taken)

    def _shrink(self) -> None:
        whole = _together(self._pending)
        whole.rows = newest_of_each(whole.rows)
        if whole.rows.num_rows > MOST_PENDING_ROWS // 2:
            whole.rows = whole.rows.slice(0, MOST_PENDING_ROWS // 2)
            self._dirty("more devices than live state's waiting room holds")
        self._pending = [whole]

    def _dirty(self, why: str) -> None:
        self.dirty_since_ms = self._clock.wall_ms()
        self._metrics.live_dirty.set(1)
        _log.error("live.dirty", why=why)


def _together(items: Sequence[_Waiting]) -> _Waiting:
    if len(items) == 1:
        return items[0]
    marks: dict[ShardId, str] = {}
    for item in items:
        marks.update(item.marks)
    return _Waiting(items[0].since_s, pa.concat_batches([item.rows for item in items]), marks)


async def sweep(live: LiveState, now_ms: int) -> int:
    """Forget devices unseen for long; 0 where live state is away just now."""
    try:
        return await live.sweep(now_ms)
    except SinkUnavailable:
        return 0
