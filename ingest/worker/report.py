"""A worker's report and health."""

from typing import Self

import msgspec

from ingest.worker.landing.totals import Totals


class Report(msgspec.Struct, kw_only=True):
    """What a worker did. Counts are of user records where they do not say otherwise."""

    worker: str
    seconds: float
    read: int
    kinesis_records: int
    landed: int
    rejected: dict[str, int]
    suppressed: int
    objects: int
    flushes: int
    records_per_s: float
    trimmed: int = 0
    """Ledger entries before which the stream had trimmed unread records."""
    not_committed: list[str] = []
    """Shards that could not be flushed in time at the end; they are read again from their position."""
    handled: int = 0
    """Taken by a handler, in place of landing."""
    live_missing: bool = False
    """Live state lacks records and must be rebuilt."""

    @classmethod
    def of(cls, worker: str, totals: Totals, seconds: float, not_committed: list[str], *, live_missing: bool) -> Self:
        """What a worker's totals come to."""
        return cls(
            worker=worker,
            seconds=round(seconds, 3),
            read=totals.user_records_read,
            kinesis_records=totals.kinesis_records_read,
            landed=totals.landed,
            rejected=dict(totals.rejected),
            suppressed=totals.suppressed,
            objects=totals.landing_objects + totals.rejected_objects,
            flushes=totals.flushes,
            records_per_s=round(totals.user_records_read / seconds, 1) if seconds > 0 else 0.0,
            trimmed=totals.trimmed,
            not_committed=not_committed,
            handled=totals.handled,
            live_missing=live_missing,
        )


class Health(msgspec.Struct, kw_only=True):
    """`alive`: the worker makes progress. `ready`: nothing that it needs is missing; `reasons` name what is."""

    worker: str
    alive: bool
    ready: bool
    reasons: list[str]
    shards: list[str]
    down_s: dict[str, float]
    buffer_bytes: int
    reading_paused_s: float
    live_complete: bool
    """Whether live state is known to be complete; where it is not, it is being rebuilt."""
    failed: list[str] = []
    """Shards that failed here with an unexpected error and are not read again yet."""
