"""Live state, written beside landing: soon, in few large writes, and never holding landing back."""

import asyncio

import pyarrow as pa
import structlog

from contracts.errors import SinkUnavailable
from ingest.clock import Clock
from ingest.live.protocol import LiveState
from ingest.metrics import LIVE, Metrics
from ingest.worker.newest import newest_of_each
from ingest.worker.settle import Persistence

_log = structlog.get_logger()
MOST_PENDING_ROWS = 200_000
MOST_ROWS_A_WRITE = 50_000


class LiveWriter:
    """Takes decoded rows as they come and writes them to live state.

    Promises
    - `offer` never waits and never fails.
    - While the store is away or slow, at most MOST_PENDING_ROWS rows wait: beyond, only what decides each device's
      newest record and place is kept. Where even that is too much, the rest is dropped and `dirty_since_ms` is set,
      which says that live state must be rebuilt.
    """

    def __init__(self, live: LiveState, *, clock: Clock, metrics: Metrics, persistence: Persistence) -> None:
        self.dirty_since_ms: int | None = None
        self._live = live
        self._clock = clock
        self._metrics = metrics
        self._persistence = persistence
        self._pending: list[tuple[float, pa.RecordBatch]] = []
        self._writing = 0
        self._wake = asyncio.Event()

    @property
    def pending_rows(self) -> int:
        """Rows that wait or are being written."""
        waiting: int = sum(rows.num_rows for _, rows in self._pending)
        return self._writing + waiting

    def offer(self, rows: pa.RecordBatch) -> None:
        """Rows of contracts.record.LANDING_SCHEMA to be written soon."""
        self._pending.append((self._clock.monotonic_s(), rows))
        if self.pending_rows > MOST_PENDING_ROWS:
            self._shrink()
        self._metrics.live_pending.set(self.pending_rows)
        self._wake.set()

    async def run(self) -> None:
        """Write for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                await self._write_some()

    async def drained(self) -> None:
        """Come back once nothing waits."""
        while self.pending_rows:
            await self._clock.sleep(0.02)

    async def _write_some(self) -> None:
        since_s, rows = self._taken()
        self._writing = rows.num_rows

        async def write() -> None:
            await self._live.write(rows)
            self._metrics.live_rows.inc(rows.num_rows)

        await self._persistence.until_done(LIVE, write)
        self._writing = 0
        self._metrics.live_seconds.observe(self._clock.monotonic_s() - since_s)
        self._metrics.live_pending.set(self.pending_rows)

    def _taken(self) -> tuple[float, pa.RecordBatch]:
        since_s = self._pending[0][0]
        taken: list[pa.RecordBatch] = []
        count = 0
        while self._pending and (not taken or count + self._pending[0][1].num_rows <= MOST_ROWS_A_WRITE):
            rows = self._pending.pop(0)[1]
            taken.append(rows)
            count += rows.num_rows
        return since_s, taken[0] if len(taken) == 1 else pa.concat_batches(taken)

    def _shrink(self) -> None:
        since_s = self._pending[0][0]
        kept = newest_of_each(pa.concat_batches([rows for _, rows in self._pending]))
        if kept.num_rows > MOST_PENDING_ROWS // 2:
            kept = kept.slice(0, MOST_PENDING_ROWS // 2)
            self._dirty("more devices than live state's waiting room holds")
        self._pending = [(since_s, kept)]

    def _dirty(self, why: str) -> None:
        self.dirty_since_ms = self._clock.wall_ms()
        self._metrics.live_dirty.set(1)
        _log.error("live.dirty", why=why)


async def sweep(live: LiveState, now_ms: int) -> int:
    """Forget devices unseen for long; 0 where live state is away just now."""
    try:
        return await live.sweep(now_ms)
    except SinkUnavailable:
        return 0
