"""What a worker tells about itself: how it is, and what it did."""

import msgspec


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
    lost: int = 0
    not_committed: list[str] = []
    """Shards that could not be flushed in time at the end; they are read again from their position."""
    live_missing: bool = False
    """Live state lacks records and must be rebuilt."""


class Health(msgspec.Struct, kw_only=True):
    """`alive`: it works at all. `ready`: and nothing that it needs is missing; `reasons` say what is."""

    worker: str
    alive: bool
    ready: bool
    reasons: list[str]
    shards: list[str]
    down_s: dict[str, float]
    buffer_bytes: int
    reading_paused_s: float
    live_complete: bool
    """Whether live state is known to lack nothing; where it does, it is being rebuilt."""
