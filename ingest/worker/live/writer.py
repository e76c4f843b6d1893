"""Writes decoded rows to live state in few large writes, without ever delaying landing."""

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import structlog

from contracts.errors import SinkUnavailable
from ingest.batch import BATCH_OVERHEAD_BYTES, ShardId, worth_joining
from ingest.kinesis import StreamClient, StreamUnavailable
from ingest.live.protocol import LiveState
from ingest.runtime.clock import Clock
from ingest.runtime.metrics import LIVE, Metrics
from ingest.runtime.retry import Retry
from ingest.worker.live.isolate import write_around
from ingest.worker.live.newest import newest_of_each
from ingest.worker.live.progress import LiveProgress
from ingest.worker.reading.start import stream_now_ms

_log = structlog.get_logger()
_MIB = 1024 * 1024
MOST_PENDING_ROWS = 1_000_000
MOST_PENDING_BYTES = 256 * _MIB
"""Of all memory for what live state lacks: half for rows that wait, a quarter for writes in progress, a quarter for the
copies that are made while rows are thinned out."""
MOST_ROWS_A_WRITE = 100_000
MOST_BYTES_A_WRITE = 32 * _MIB
CROWDED = 0.3
"""Share of what may wait above which readers give way. It is three writes: the store always has a next one, and answers
that are on their way by then still have room."""
GIVE_WAY_S = 4.0
"""The longest that one read gives way: 10 MB or 10,000 records in four seconds are still more than a shard may give."""
WRITES_AT_ONCE = 2
"""One is prepared while the store handles the other; more would only wait there."""
APART_S = 0.15
"""Between the starts of two writes: under load a write then holds several records of a device, of which one counts. The
first record after a pause is written at once."""


@dataclass(slots=True)
class _Waiting:
    since_s: float
    rows: pa.RecordBatch
    marks: dict[ShardId, str]
    """Per shard, the sequence number up to which live state is complete once these rows are written."""
    bytes: int
    done: bool = False


class LiveWriter:
    """Takes decoded rows as they come and writes them to live state.

    Promises
    - `offer` never waits and never fails.
    - While the store is away or slow, at most MOST_PENDING_ROWS rows wait, in MOST_PENDING_BYTES of memory, copies
      included: beyond, only what decides each device's newest record and place is kept, and where even that is too
      much, only a part of it. What is dropped, trail points included, is a gap in `progress` until
      ingest.worker.live.catch_up has filled it from landing.
    - `progress.written` of a shard is a sequence number up to which every record offered is in the store.
    """

    def __init__(self, live: LiveState, *, clock: Clock, metrics: Metrics, retry: Retry) -> None:
        self.progress = LiveProgress()
        self.live_gaps = 0
        """How often this worker found a gap in live state that it cannot fill: live state must be rebuilt."""
        self._live = live
        self._clock = clock
        self._metrics = metrics
        self._retry = retry
        self._pending: deque[_Waiting] = deque()
        self._rows = 0
        self._bytes = 0
        self._writing: deque[_Waiting] = deque()
        self._places = asyncio.Semaphore(WRITES_AT_ONCE)
        self.again = asyncio.Lock()
        """Held while writing from landing, so that one landing object at a time is in memory."""
        self._wake = asyncio.Event()

    @property
    def pending_rows(self) -> int:
        """Rows that wait or are being written."""
        writing: int = sum(item.rows.num_rows for item in self._writing)
        return self._rows + writing

    @property
    def complete(self) -> bool:
        """Whether every record that was offered, and every record before it of the shards held, is in the store."""
        return not self._writing and not self._pending and self.progress.complete

    def begin(self, shard_id: ShardId, written: str, gap_to: str | None = None) -> None:
        """Add a shard, see LiveProgress.begin. Marks of an earlier lease of the shard no longer count."""
        for item in (*self._writing, *self._pending):
            item.marks.pop(shard_id, None)
        self.progress.begin(shard_id, written, gap_to)

    def offer(self, rows: pa.RecordBatch, shard_id: ShardId, last_seq: str) -> None:
        """Queue rows of contracts.record.LANDING_SCHEMA (perhaps none) that reach up to a sequence number."""
        size = rows.nbytes + BATCH_OVERHEAD_BYTES
        self._put(_Waiting(self._clock.monotonic_s(), rows, {shard_id: last_seq}, size))
        while len(self._pending) > 1 and worth_joining(
            self._pending[-2].rows.num_rows, self._pending[-1].rows.num_rows
        ):
            last, before = self._pop(), self._pop()
            self._put(_together((before, last)))
        if self._rows > MOST_PENDING_ROWS or self._bytes > MOST_PENDING_BYTES // 2:
            self._shrink()
        self._metrics.live_pending.set(self.pending_rows)
        self._wake.set()

    async def room(self, within_s: float = GIVE_WAY_S) -> float:
        """Wait until live state keeps up, so long at most; the rest of that time.

        Readers call it before each read, and with the rest once an answer has come: what they read faster than it can
        be written would be dropped, and then be written again from landing.
        """
        while self._crowded and within_s > 0:
            await self._clock.sleep(APART_S / 6)
            within_s -= APART_S / 6
        return within_s

    @property
    def _crowded(self) -> bool:
        return self.pending_rows > CROWDED * MOST_PENDING_ROWS or self._bytes > CROWDED * MOST_PENDING_BYTES

    async def write_again(self, rows: pa.RecordBatch) -> None:
        """Write rows that have landed, and wait until they are in the store. Gives way to rows that are offered."""
        while self._rows > MOST_ROWS_A_WRITE:
            await self._clock.sleep(APART_S)
        await self._write(rows)

    async def caught_up(self, shard_id: ShardId, last_seq: str, within_s: float) -> None:
        """Wait until live state has the shard up to a sequence number, or the time has passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while int(self.progress.written(shard_id) or 0) < int(last_seq or 0):
                    await self._clock.sleep(0.02)

    async def run(self) -> None:
        """Write until cancelled."""
        try:
            async with asyncio.TaskGroup() as writes:
                while True:
                    await self._wake.wait()
                    self._wake.clear()
                    while self._pending:
                        await self._begin_a_write(writes)
        except ExceptionGroup as group:
            raise group.exceptions[0] from group

    async def drained(self) -> None:
        """Wait until nothing is queued or being written."""
        while self.pending_rows:
            await self._clock.sleep(0.02)

    async def _begin_a_write(self, writes: asyncio.TaskGroup) -> None:
        await self._places.acquire()
        if not self._pending:
            self._places.release()
            return
        started_s = self._clock.monotonic_s()
        item = self._taken()
        self._writing.append(item)
        writes.create_task(self._write_one(item))
        await self._clock.sleep(max(0.0, started_s + APART_S - self._clock.monotonic_s()))

    async def _write_one(self, item: _Waiting) -> None:
        if item.rows.num_rows:
            await self._write(item.rows)
            self._metrics.live_seconds.observe(self._clock.monotonic_s() - item.since_s)
        item.done = True
        # A mark claims that everything before it is in the store, so marks count in order.
        while self._writing and self._writing[0].done:
            self.progress.wrote(self._writing.popleft().marks)
        self._places.release()
        self._metrics.live_pending.set(self.pending_rows)

    async def _write(self, rows: pa.RecordBatch) -> None:
        await self._retry.until_done(LIVE, partial(write_around, self._live.write, rows, self._metrics))
        self._metrics.live_rows.inc(rows.num_rows)

    def _put(self, item: _Waiting) -> None:
        self._pending.append(item)
        self._rows += item.rows.num_rows
        self._bytes += item.bytes

    def _pop(self, *, first: bool = False) -> _Waiting:
        item = self._pending.popleft() if first else self._pending.pop()
        self._rows -= item.rows.num_rows
        self._bytes -= item.bytes
        return item

    def _taken(self) -> _Waiting:
        taken = [self._pop(first=True)]
        count, size = taken[0].rows.num_rows, taken[0].bytes
        while self._pending:
            following = self._pending[0]
            count, size = count + following.rows.num_rows, size + following.bytes
            if count > MOST_ROWS_A_WRITE or size > MOST_BYTES_A_WRITE:
                break
            taken.append(self._pop(first=True))
        return _together(taken)

    def _shrink(self) -> None:
        """Keep newest records and places only, at most half of what may wait, so that this is not repeated at once."""
        since_s, marks, batches = self._pending[0].since_s, dict[ShardId, str](), deque[pa.RecordBatch]()
        while self._pending:
            item = self._pop(first=True)
            marks.update(item.marks)
            batches.append(item.rows)
        del item
        kept = newest_of_each(batches, MOST_PENDING_ROWS // 2, MOST_PENDING_BYTES // 4)
        if self.progress.complete:
            _log.warning("live.behind", why="more than the waiting room holds; the rest follows from landing")
        self.progress.dropped(marks)
        self._put(_Waiting(since_s, kept, marks, kept.nbytes + BATCH_OVERHEAD_BYTES))


def _together(items: Iterable[_Waiting]) -> _Waiting:
    items = list(items)
    if len(items) == 1:
        return items[0]
    marks: dict[ShardId, str] = {}
    for item in items:
        marks.update(item.marks)
    size = sum(item.bytes for item in items) - BATCH_OVERHEAD_BYTES * (len(items) - 1)
    return _Waiting(items[0].since_s, pa.concat_batches([item.rows for item in items]), marks, size)


async def sweep(live: LiveState, stream: StreamClient) -> int:
    """Forget devices that nothing arrived of for long, and return how many; 0 where live state or the stream is down.

    The stream's time counts: this machine's clock may be days ahead.
    """
    try:
        return await live.sweep(await stream_now_ms(stream))
    except (SinkUnavailable, StreamUnavailable):
        return 0
