"""Counts what a worker has read and committed."""

from collections import Counter
from dataclasses import dataclass, field

from contracts.ledger import LANDED, LedgerEntry


@dataclass(slots=True)
class Totals:
    """One worker's counts: what it read, and what it committed."""

    kinesis_records_read: int = 0
    user_records_read: int = 0
    kinesis_records: int = 0
    user_records: int = 0
    landed: int = 0
    suppressed: int = 0
    handled: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    landing_objects: int = 0
    rejected_objects: int = 0
    flushes: int = 0
    trimmed: int = 0

    def add(self, entry: LedgerEntry) -> None:
        """Count a committed entry."""
        self.kinesis_records += entry.kinesis_records
        self.user_records += entry.user_records
        self.landed += entry.landed
        self.suppressed += entry.suppressed
        self.handled += entry.handled
        self.rejected.update(entry.rejected)
        landing = sum(landed.kind == LANDED for landed in entry.objects)
        self.landing_objects += landing
        self.rejected_objects += len(entry.objects) - landing
        self.flushes += 1
        self.trimmed += entry.lost
