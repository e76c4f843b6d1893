"""Lands one shard: buffers, flushes, commits through the ledger, and moves the watermark."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import structlog
from msgspec.structs import replace

from contracts.errors import SinkUnavailable
from contracts.ledger import LeaseRow, LedgerEntry, fits_the_ledger
from ingest.batch import Batch
from ingest.kinesis import Shard
from ingest.landing import Flush, ObjectStore, Pending, ShardBuffer
from ingest.leases.protocol import Leases, after_commit
from ingest.runtime.clock import Clock
from ingest.runtime.metrics import LANDING, LEASES, Metrics
from ingest.runtime.offload import Offload
from ingest.runtime.retry import Retry
from ingest.worker.landing.budget import Budget
from ingest.worker.landing.commit import child_rows, commit_for_sure
from ingest.worker.landing.quarantine import Quarantine
from ingest.worker.landing.totals import Totals

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pace:
    """When a shard's watermark moves, and how often that and its flushes are checked."""

    watermark_every_s: float = 15.0
    watermark_behind_ms: int = 60_000
    look_every_s: float = 0.25
    flush_at_tip: bool = False
    """Flush as soon as the shard is read to its tip, as a worker does that runs until idle."""


class Delivery:
    """Lands a shard's batches, each exactly once.

    Promises
    - The lease's position moves over a batch only in the transaction that lists its objects.
    - One flush is in progress at a time; batches may be appended meanwhile.
    - The watermark moves to the largest arrival committed, or, at the tip with everything committed, to
      `watermark_behind_ms` before the stream's time of that answer.
    - `run` ends after `close` or `end`, with everything committed; LeaseLost and PositionMoved pass through.
    - From the first `all_committed` on, what is buffered is flushed at once.
    """

    def __init__(
        self,
        lease: LeaseRow,
        buffer: ShardBuffer,
        *,
        leases: Leases,
        store: ObjectStore,
        quarantine: Quarantine,
        encoding: Offload,
        clock: Clock,
        metrics: Metrics,
        budget: Budget,
        totals: Totals,
        pace: Pace,
    ) -> None:
        self.lease = lease
        self.commits = 0
        """Flushes committed."""
        self._worker = lease.owner or ""
        self._buffer = buffer
        self._leases = leases
        self._store = store
        self._quarantine = quarantine
        self._encoding = encoding
        self._clock = clock
        self._metrics = metrics
        self._budget = budget
        self._totals = totals
        self._pace = pace
        self._retry = Retry(clock, metrics, lease.shard_id)
        self._sealed: deque[tuple[Pending, int]] = deque()
        self._flushing = False
        self._tip_ms: int | None = None
        self._trims = int(lease.lost)
        self._trims_told = 0
        self._closed = False
        self._hurried = False
        self._children: Sequence[Shard] | None = None
        self._live_seq: Callable[[], str] = lambda: lease.live_seq
        self._wake = asyncio.Event()
        self._committed = asyncio.Event()

    @property
    def idle(self) -> bool:
        """Whether the shard is read to its tip and everything read is committed."""
        return self._tip_ms is not None and not self._flushing and self._empty

    async def room(self) -> None:
        """Wait until the shard may be read on: a delivery buffers what the worker's budget allows."""

    def append(self, batch: Batch) -> None:
        """Buffer a batch; it must follow the one before."""
        if not self._buffer.fits(batch):
            self._seal()
        before = self._buffer.bytes
        self._buffer.append(batch, self._clock.monotonic_s())
        self._budget.hold(self.lease.shard_id, self._buffer.bytes - before)
        self._tip_ms = None
        self._wake.set()

    def at_tip(self, response_ms: int) -> None:
        """The stream had nothing more at this time."""
        self._tip_ms = response_ms
        self._wake.set()

    def mark_trimmed(self) -> None:
        """The stream trimmed unread records: the next entry says so, and before it the lease's next watermark."""
        self._trims += 1

    def end(self, children: Sequence[Shard], live_seq: Callable[[], str]) -> None:
        """The shard is read to its end: the last commit ends it, notes `live_seq`, and inserts its children's rows."""
        self._live_seq = live_seq
        self._children = children
        self.close()

    def close(self) -> None:
        """No batch follows."""
        self._closed = True
        self._wake.set()

    async def all_committed(self) -> None:
        """Wait until everything that was appended is committed."""
        self._hurried = True
        self._wake.set()
        while self._flushing or not self._empty:
            await self.next_commit()

    async def next_commit(self) -> None:
        """Wait until a flush is committed."""
        self._committed.clear()
        await self._committed.wait()

    async def run(self) -> None:
        """Flush whenever it is due, until closed and empty."""
        while not (self._closed and self._empty):
            await self._until_due()
            if not self._buffer.empty and self._flush_due():
                self._seal()
            if self._sealed:
                await self._flush()
            elif self._empty and not self._closed:
                await self._advance()
        if self._children is not None and not self.lease.ended:
            await self._commit(self._trimmed_entry() if self._trimmed else None, self._children)
        elif self._children is None and self._watermark_due(0):
            await self._advance()

    async def until_committed(self) -> None:
        """Wait until everything appended is committed."""
        while self._flushing or not self._empty:
            self._committed.clear()
            await self._committed.wait()

    async def release(self, live_seq: str, to: str | None) -> None:
        """Release the lease."""
        release = partial(self._leases.release, self.lease, live_seq=live_seq, to=to)
        await self._retry.until_done(LEASES, release)

    @property
    def _trimmed(self) -> bool:
        return self._trims > self._trims_told

    @property
    def _empty(self) -> bool:
        return not self._sealed and self._buffer.empty

    async def _until_due(self) -> None:
        while not (self._sealed or self._closed or self._flush_due() or self._watermark_due()):
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.look_every_s):
                    await self._wake.wait()

    def _flush_due(self) -> bool:
        if self._buffer.empty:
            return False
        return (
            self._closed
            or self._hurried
            or self._buffer.due(self._clock.monotonic_s()) is not None
            or self._budget.pressed
            or (self._pace.flush_at_tip and self._tip_ms is not None)
        )

    def _watermark_due(self, step_ms: float | None = None) -> bool:
        if self._tip_ms is None or not self._empty:
            return False
        step_ms = self._pace.watermark_every_s * 1000 if step_ms is None else step_ms
        return self._tip_ms - self._pace.watermark_behind_ms - self.lease.watermark_ms > step_ms

    async def _advance(self) -> None:
        """Move the watermark behind the tip: everything that arrived before it is read and committed."""
        if not self._watermark_due(0):
            return
        target_ms = (self._tip_ms or 0) - self._pace.watermark_behind_ms
        try:
            row = await self._leases.advance(replace(self.lease, lost=self._trimmed), target_ms)
        except SinkUnavailable:
            # The row may have moved. Filing as if it had is right either way: all before the target is committed.
            self._metrics.sink_failed(LEASES)
            row = replace(self.lease, watermark_ms=target_ms, lost=self._trimmed)
        else:
            self._retry.worked(LEASES)
        self.lease = replace(self.lease, watermark_ms=max(self.lease.watermark_ms, row.watermark_ms), lost=row.lost)
        self._show_watermark()

    def _seal(self) -> None:
        size = self._buffer.bytes
        self._sealed.append((self._buffer.take(), size))

    async def _flush(self) -> None:
        started_s = self._clock.monotonic_s()
        self._flushing = True
        pending, size = self._sealed.popleft()
        lease = self.lease
        try:
            flush: Flush = await self._encoding(pending.encode, lease.watermark_ms, lease.fence, self._worker)
        except Exception as error:  # noqa: BLE001 - the record to blame is found, whatever it broke
            self._put_back(await self._quarantine.taken_apart(pending, error), size)
            return
        if not fits_the_ledger(flush.entry(lease.position, 0)) and (halves := pending.halves()) is not None:
            self._put_back(halves, size)
            return
        for landed, data in flush.objects:
            await self._retry.until_done(LANDING, partial(self._store.put_new, landed.key, data))
        trims = self._trims
        entry = replace(flush.entry(lease.position, self._clock.wall_ms()), lost=self._trimmed)
        await self._commit(entry, self._children if self._closed and self._empty else None)
        self._trims_told = trims
        self._flushing = False
        self.commits += 1
        self._committed.set()
        self._budget.free(lease.shard_id, size)
        self._measure(flush, entry, self._clock.monotonic_s() - started_s)

    def _put_back(self, parts: Sequence[Pending], size: int) -> None:
        """Flush these in this order next; the budget gets its room back after the last."""
        self._sealed.extendleft(zip(reversed(parts), (size, 0), strict=False))

    def _trimmed_entry(self) -> LedgerEntry:
        """An entry without records, which says that the stream trimmed unread records at the shard's end."""
        lease = self.lease
        return LedgerEntry(
            shard_id=lease.shard_id,
            after_seq=lease.position,
            last_seq=str(int(lease.position or "0") + 1),
            fence=lease.fence,
            worker=self._worker,
            committed_ms=self._clock.wall_ms(),
            kinesis_records=0,
            user_records=0,
            landed=0,
            rejected={},
            suppressed=0,
            watermark_ms=lease.watermark_ms,
            objects=[],
            lost=True,
        )

    async def _commit(self, entry: LedgerEntry | None, children: Sequence[Shard] | None) -> None:
        lease, rows = self.lease, None
        if children is not None:
            lease = replace(lease, live_seq=self._live_seq())
            rows = child_rows(lease.shard_id, children, after_commit(lease, entry, ended=True))
        self.lease = await commit_for_sure(self._leases, self._retry, lease, entry, children=rows)
        if entry is not None:
            self._totals.add(entry)
        self._show_watermark()

    def _measure(self, flush: Flush, entry: LedgerEntry, seconds: float) -> None:
        metrics = self._metrics
        metrics.landed.labels(entry.shard_id).inc(entry.landed)
        metrics.suppressed.inc(entry.suppressed)
        if entry.handled:
            metrics.handled.labels(entry.shard_id).inc(entry.handled)
        for reason, count in entry.rejected.items():
            metrics.rejected.labels(reason).inc(count)
        for landed in entry.objects:
            metrics.objects.labels(landed.kind).inc()
        metrics.flush_rows.observe(entry.user_records)
        metrics.flush_bytes.observe(flush.bytes)
        metrics.flush_seconds.observe(seconds)
        place = {"trace_id": entry.trace_id, "shard": entry.shard_id, "after_seq": entry.after_seq}
        counts = {"landed": entry.landed, "rejected": entry.rejected_total, "seconds": round(seconds, 3)}
        _log.info("flush.committed", **place, last_seq=entry.last_seq, **counts)

    def _show_watermark(self) -> None:
        self._metrics.watermark.labels(self.lease.shard_id).set(self.lease.watermark_ms)
