"""Buffers decoded batches of one shard until a flush is due."""

import time
from collections import Counter
from dataclasses import dataclass

import pyarrow as pa

from ingest.batch import BATCH_OVERHEAD_BYTES, Batch, worth_joining
from ingest.landing.flush import Flush, Pending
from ingest.landing.hours import arrival_hours

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FlushLimits:
    """Limits of a shard's buffer; the first one reached makes a flush due."""

    rows: int = 500_000
    bytes: int = 128 * _MIB
    """Decoded bytes in memory."""
    age_s: float = 60.0
    """Of the oldest batch."""
    open_hours: int = 6
    """Arrival hours that one flush may hold."""


class ShardBuffer:
    """Batches decoded from one shard since its last flush.

    Promises
    - Batches are taken in the order in which they were appended, each exactly once and whole; small ones are joined.
    - Counts are those of the batches: user records = landed + rejected + suppressed + handled.
    - `bytes` is no less than what the batches hold in memory, however small they are.
    Seconds are those of one monotonic clock, time.monotonic where none is given.
    """

    def __init__(self, shard_id: str, limits: FlushLimits | None = None, *, decoder_version: int = 1) -> None:
        self.shard_id = shard_id
        self._limits = limits or FlushLimits()
        self._decoder_version = decoder_version
        self._clear()

    def append(self, batch: Batch, now_s: float | None = None) -> None:
        """Keep a batch. Raises ValueError for another shard's, or one whose counts do not add up."""
        if batch.shard_id != self.shard_id:
            raise ValueError(f"a batch of {batch.shard_id} does not belong in the buffer of {self.shard_id}")
        if not batch.adds_up:
            raise ValueError(f"{batch.shard_id}: {batch.user_records} user records are not landed+rejected+suppressed")
        if not self._batches:
            self._since_s = time.monotonic() if now_s is None else now_s
        self._batches.append(batch)
        self.rows += batch.rows.num_rows
        self.rejected_rows += batch.rejected.num_rows
        self.bytes += batch.rows.nbytes + batch.rejected.nbytes + BATCH_OVERHEAD_BYTES
        self._hours |= arrival_hours(batch)
        while len(self._batches) > 1 and worth_joining(*map(_rows, self._batches[-2:])):
            self._batches[-2:] = [joined(*self._batches[-2:])]
            self.bytes -= BATCH_OVERHEAD_BYTES

    @property
    def empty(self) -> bool:
        """Whether no batch was appended since the last take."""
        return not self._batches

    def age_s(self, now_s: float | None = None) -> float:
        """Seconds since the oldest batch was appended; 0 if there is none."""
        if not self._batches:
            return 0.0
        return (time.monotonic() if now_s is None else now_s) - self._since_s

    def fits(self, batch: Batch) -> bool:
        """Whether the buffer stays within its open arrival hours with this batch; if not, flush first."""
        return self.empty or len(self._hours | arrival_hours(batch)) <= self._limits.open_hours

    def due(self, now_s: float | None = None) -> str | None:
        """Why a flush is due: rows, bytes or age; None if it is not."""
        if self.rows + self.rejected_rows >= self._limits.rows:
            return "rows"
        if self.bytes >= self._limits.bytes:
            return "bytes"
        if not self.empty and self.age_s(now_s) >= self._limits.age_s:
            return "age"
        return None

    def take(self) -> Pending:
        """Take all batches out, to be encoded later, in a thread if wanted."""
        pending = Pending(tuple(self._batches), self._decoder_version)
        self._clear()
        return pending

    def flush(self, watermark_ms: int, fence: int, worker: str, trace_id: str | None = None) -> Flush:
        """Take all batches out and encode them: `take` and Pending.encode in one."""
        return self.take().encode(watermark_ms, fence, worker, trace_id)

    def _clear(self) -> None:
        self._batches: list[Batch] = []
        self._hours: frozenset[int] | set[int] = set()
        self._since_s = 0.0
        self.rows = 0
        self.rejected_rows = 0
        self.bytes = 0


def _rows(batch: Batch) -> int:
    count: int = batch.rows.num_rows + batch.rejected.num_rows
    return count


def joined(first: Batch, second: Batch) -> Batch:
    """Two batches, one after the other, as one."""
    return Batch(
        shard_id=first.shard_id,
        first_seq=first.first_seq,
        last_seq=second.last_seq,
        kinesis_records=first.kinesis_records + second.kinesis_records,
        user_records=first.user_records + second.user_records,
        rows=pa.concat_batches([first.rows, second.rows]),
        rejected=pa.concat_batches([first.rejected, second.rejected]),
        suppressed=first.suppressed + second.suppressed,
        max_arrival_ms=max(first.max_arrival_ms, second.max_arrival_ms),
        unknown_fields=Counter(first.unknown_fields) + Counter(second.unknown_fields),
        suppression_version=min(first.suppression_version, second.suppression_version),
        handled=first.handled + second.handled,
    )
