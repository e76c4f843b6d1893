"""Collects one shard's user records into KPL aggregates, and these into PutRecords calls."""

from collections.abc import Iterable
from dataclasses import dataclass

from contracts import kpl

MAX_KINESIS_RECORD_BYTES = 1024 * 1024
"""Maximum size of one Kinesis record, partition key included."""
MAX_PARTITION_KEY = 256


@dataclass(frozen=True, slots=True)
class Limits:
    """Maximum size of one aggregate and of one PutRecords call (Kinesis accepts 500 records and 5 MiB)."""

    aggregate_records: int = 500
    aggregate_bytes: int = 50 * 1024
    call_records: int = 500
    call_bytes: int = 1024 * 1024
    """A shard accepts 1 MiB a second, and each call is for one shard."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One Kinesis record to put, and its number of user records."""

    partition_key: str
    data: bytes
    user_records: int

    @property
    def size(self) -> int:
        """The size that Kinesis counts: key and data."""
        return len(self.partition_key) + len(self.data)


class Aggregator:
    """Buffers one shard's records in order. With `aggregated=False` each user record is a Kinesis record."""

    def __init__(self, limits: Limits, *, aggregated: bool) -> None:
        self._limits = limits
        self._aggregated = aggregated
        self._open: list[tuple[str, bytes]] = []
        self._open_bytes = 0
        self._entries: list[Entry] = []
        self._entries_bytes = 0

    def add(self, records: Iterable[tuple[str, bytes]]) -> list[list[Entry]]:
        """Take (partition key, user record) pairs; returns the calls that became full, in order."""
        full: list[list[Entry]] = []
        max_records, max_bytes = self._limits.aggregate_records, self._limits.aggregate_bytes
        for pair in records:
            size = len(pair[1])
            if self._open and (self._open_bytes + size > max_bytes or len(self._open) >= max_records):
                self._seal(full)
            self._open.append(pair)
            self._open_bytes += size
            if not self._aggregated or size > max_bytes:
                self._seal(full)
        return full

    def flush(self) -> list[list[Entry]]:
        """The calls for everything that is still buffered."""
        full: list[list[Entry]] = []
        self._seal(full)
        self._close_call(full)
        return full

    def _seal(self, full: list[list[Entry]]) -> None:
        if not self._open:
            return
        key, data = self._open[0]
        # A lone record goes plain: it needs no frame, and one above the aggregate's bound stays as the device sent it.
        if len(self._open) > 1 or kpl.is_aggregate(data):
            data = kpl.aggregate(self._open)
        entry = Entry(key, data, len(self._open))
        self._open, self._open_bytes = [], 0
        if (
            self._entries_bytes + entry.size > self._limits.call_bytes
            or len(self._entries) >= self._limits.call_records
        ):
            self._close_call(full)
        self._entries.append(entry)
        self._entries_bytes += entry.size

    def _close_call(self, full: list[list[Entry]]) -> None:
        if self._entries:
            full.append(self._entries)
            self._entries, self._entries_bytes = [], 0
