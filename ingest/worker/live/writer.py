"""Live state, written beside landing: soon, in few large writes, and never holding landing back."""

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import structlog

from contracts.errors import SinkUnavailable
from ingest.batch import ShardId
from ingest.joining import BATCH_OVERHEAD_BYTES, worth_joining
from ingest.kinesis import StreamUnavailable
from ingest.live.protocol import LiveState
from ingest.runtime.clock import Clock
from ingest.runtime.metrics import LIVE, Metrics
from ingest.runtime.retry import Persistence
from ingest.worker.live.isolate import write_around
from ingest.worker.live.newest import first_of, newest_of_each
from ingest.worker.live.progress import Reached
from ingest.worker.options import Parts
from ingest.worker.reading.start import stream_now_ms

_log = structlog.get_logger()
_MIB = 1024 * 1024
MOST_PENDING_ROWS = 1_000_000
MOST_PENDING_BYTES = 256 * _MIB
MOST_ROWS_A_WRITE = 100_000
MOST_BYTES_A_WRITE = 64 * _MIB
CROWDED = 0.3
"""Of what may wait; from there on readers give way. It is three writes, so that the store has the next one when it is
done with one; answers that are on their way by then have room as well."""
GIVE_WAY_S = 4.0
"""A read gives way at most so long: 10 MB or 10,000 records in four seconds are still more than a shard may give."""
WRITES_AT_ONCE = 2
"""One is made ready while the other is with the store; more would only wait there."""
APART_S = 0.15
"""Between the starts of two writes, so that under load a write has several records of a device, of which one counts.
The first record after a rest is written at once."""


@dataclass(slots=True)
class _Waiting:
    since_s: float
    rows: pa.RecordBatch
    marks: dict[ShardId, str]
    """For each shard, the last sequence number that is in live state once these rows are."""
    bytes: int
    done: bool = False


class LiveWriter:
    """Takes decoded rows as they come and writes them to live state.

    Promises
    - `offer` never waits and never fails.
    - While the store is away or slow, at most MOST_PENDING_ROWS rows and MOST_PENDING_BYTES wait: beyond, only what
      decides each device's newest record and place is kept, and where even that is too much, not all of it. What was
      dropped, points of trails too, `reached` lacks, until it was written from landing (ingest.worker.live.catch_up).
    - `reached` of a shard is a sequence number up to which every record offered has reached the store.
    """

    def __init__(self, live: LiveState, *, clock: Clock, metrics: Metrics, persistence: Persistence) -> None:
        self.reached = Reached()
        self.losses = 0
        """Times that live state was found to lack what this worker cannot bring: it must be rebuilt."""
        self._live = live
        self._clock = clock
        self._metrics = metrics
        self._persistence = persistence
        self._pending: deque[_Waiting] = deque()
        self._rows = 0
        self._bytes = 0
        self._writing: deque[_Waiting] = deque()
        self._places = asyncio.Semaphore(WRITES_AT_ONCE)
        self.again = asyncio.Lock()
        """Held by who writes from landing: one object at a time is in memory."""
        self._wake = asyncio.Event()

    @property
    def pending_rows(self) -> int:
        """Rows that wait or are being written."""
        writing: int = sum(item.rows.num_rows for item in self._writing)
        return self._rows + writing

    @property
    def whole(self) -> bool:
        """Whether all that was offered, and all that the shards held had before, has reached the store."""
        return not self._writing and not self._pending and self.reached.whole

    def begin(self, shard_id: ShardId, written: str, lacks_to: str | None = None) -> None:
        """A shard comes; see Reached.begin. What an earlier lease of it left here says nothing about this one."""
        for item in (*self._writing, *self._pending):
            item.marks.pop(shard_id, None)
        self.reached.begin(shard_id, written, lacks_to)

    def offer(self, rows: pa.RecordBatch, shard_id: ShardId, last_seq: str) -> None:
        """Rows of contracts.record.LANDING_SCHEMA, even none, up to a sequence number, to be written soon."""
        size = rows.nbytes + BATCH_OVERHEAD_BYTES
        self._put(_Waiting(self._clock.monotonic_s(), rows, {shard_id: last_seq}, size))
        while len(self._pending) > 1 and worth_joining(
            self._pending[-2].rows.num_rows, self._pending[-1].rows.num_rows
        ):
            last, before = self._pop(), self._pop()
            self._put(_together((before, last)))
        if self._rows > MOST_PENDING_ROWS or self._bytes > MOST_PENDING_BYTES:
            self._shrink()
        self._metrics.live_pending.set(self.pending_rows)
        self._wake.set()

    async def room(self) -> None:
        """Come back once live state keeps up, or after GIVE_WAY_S. For readers, before each read: what they read faster
        than it can be written would be dropped, and written once more from landing.
        """
        waited_s = 0.0
        while self._crowded and waited_s < GIVE_WAY_S:
            await self._clock.sleep(APART_S / 6)
            waited_s += APART_S / 6

    @property
    def _crowded(self) -> bool:
        return self.pending_rows > CROWDED * MOST_PENDING_ROWS or self._bytes > CROWDED * MOST_PENDING_BYTES

    async def write_again(self, rows: pa.RecordBatch) -> None:
        """Write rows that landed, and come back when they are in the store. Gives way to what is offered."""
        while self._rows > MOST_ROWS_A_WRITE:
            await self._clock.sleep(APART_S)
        await self._write(rows)

    async def caught_up(self, shard_id: ShardId, last_seq: str, within_s: float) -> None:
        """Come back once the shard has reached the store up to there, or the time has passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while int(self.reached.written(shard_id) or 0) < int(last_seq or 0):
                    await self._clock.sleep(0.02)

    async def run(self) -> None:
        """Write for ever."""
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
        """Come back once nothing waits."""
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
        # A mark says that everything before it is in the store, too.
        while self._writing and self._writing[0].done:
            self.reached.wrote(self._writing.popleft().marks)
        self._places.release()
        self._metrics.live_pending.set(self.pending_rows)

    async def _write(self, rows: pa.RecordBatch) -> None:
        await self._persistence.until_done(LIVE, partial(write_around, self._live.write, rows, self._metrics))
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
        """Keep newest records and places, half of what may wait at most: else each further offer had to do it again."""
        whole = _together([self._pop(first=True) for _ in range(len(self._pending))])
        kept = first_of(newest_of_each(whole.rows), MOST_PENDING_ROWS // 2, MOST_PENDING_BYTES // 2)
        if self.reached.whole:
            _log.warning("live.behind", why="more than the waiting room holds; the rest follows from landing")
        self.reached.missed(whole.marks)
        self._put(_Waiting(whole.since_s, kept, whole.marks, kept.nbytes + BATCH_OVERHEAD_BYTES))


def _together(items: Iterable[_Waiting]) -> _Waiting:
    items = list(items)
    if len(items) == 1:
        return items[0]
    marks: dict[ShardId, str] = {}
    for item in items:
        marks.update(item.marks)
    size = sum(item.bytes for item in items) - BATCH_OVERHEAD_BYTES * (len(items) - 1)
    return _Waiting(items[0].since_s, pa.concat_batches([item.rows for item in items]), marks, size)


async def sweep(live: LiveState, parts: Parts) -> int:
    """Forget devices unseen for long by the stream's time, as this machine's clock may be days ahead; 0 where live
    state or the stream is away just now.
    """
    try:
        return await live.sweep(await stream_now_ms(parts))
    except (SinkUnavailable, StreamUnavailable):
        return 0
