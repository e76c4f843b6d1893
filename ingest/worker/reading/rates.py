"""A shard's smoothed load, by which workers balance."""

import math

from contracts.ledger import LeaseRow
from ingest.runtime.clock import Clock

_MEMORY_S = 30.0


class Load:
    """Records and bytes a second, smoothed over half a minute. It starts with the lease's figures, so that a shard that
    has just moved weighs the same with its new owner.
    """

    def __init__(self, clock: Clock, lease: LeaseRow) -> None:
        self._clock = clock
        self._since_s = clock.monotonic_s()
        self._records = 0
        self._bytes = 0
        self.records_per_s = lease.records_per_s
        self.bytes_per_s = lease.bytes_per_s

    def count(self, records: int, size: int) -> None:
        """Count one read."""
        self._records += records
        self._bytes += size

    def update(self) -> None:
        """Fold what was counted since the last update into the rates."""
        now_s = self._clock.monotonic_s()
        passed_s = now_s - self._since_s
        if passed_s <= 0:
            return
        keep = math.exp(-passed_s / _MEMORY_S)
        self.records_per_s = keep * self.records_per_s + (1 - keep) * self._records / passed_s
        self.bytes_per_s = keep * self.bytes_per_s + (1 - keep) * self._bytes / passed_s
        self._since_s, self._records, self._bytes = now_s, 0, 0
