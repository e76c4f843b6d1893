"""The consumer's data types: Kinesis records as read, and batches as decoded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import pyarrow as pa

ShardId = str
MAX_UNKNOWN_NAMES = 1_000
"""At most this many unknown names are counted separately: devices choose them."""
OTHER_NAMES = "*"
"""Stands for all further unknown names."""
BATCH_OVERHEAD_BYTES = 32 * 1024
"""What a batch costs beyond its values: blocks of memory for some sixty arrays of two dozen columns, and their objects.
For one row some 27 KB were measured, of 271 bytes of values."""
_MOST_JOINED_ROWS = 1_000


class KinesisRecord(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """One record, with the fields of GetRecords' JSON, so that msgspec decodes it in one step.

    It holds no reference cycles, so the garbage collector need not track it.
    """

    sequence_number: str
    approximate_arrival_timestamp: float
    """Seconds since the epoch."""
    data: bytes
    partition_key: str

    @classmethod
    def at(cls, arrival_ms: int, sequence_number: str, partition_key: str, data: bytes) -> "KinesisRecord":
        """A record that arrived at this epoch time (ms)."""
        return cls(sequence_number, arrival_ms / 1000, data, partition_key)

    @property
    def arrival_ms(self) -> int:
        """Its arrival to the millisecond. For many records use `ingest.records.arrivals_ms`."""
        return round(self.approximate_arrival_timestamp * 1000)


@dataclass(slots=True)
class Batch:
    """Consecutive Kinesis records of one shard, decoded.

    Promise: user_records == rows.num_rows + rejected.num_rows + suppressed + handled.
    """

    shard_id: ShardId
    first_seq: str
    last_seq: str
    kinesis_records: int
    user_records: int
    rows: pa.RecordBatch
    """Columns of contracts.record.LANDING_SCHEMA, in arrival order."""
    rejected: pa.RecordBatch
    """Columns of contracts.record.REJECTED_SCHEMA."""
    suppressed: int = 0
    max_arrival_ms: int = 0
    unknown_fields: Mapping[str, int] = field(default_factory=dict)
    """Number of records that hold each unknown name; `*` is every name beyond the first 1,000."""
    suppression_version: int = 0
    """Version of the suppression list that was applied."""
    handled: int = 0
    """User records that a handler takes instead of landing."""

    @property
    def adds_up(self) -> bool:
        """Whether the promise is kept."""
        ended: int = self.rows.num_rows + self.rejected.num_rows + self.suppressed + self.handled
        return self.user_records == ended


def worth_joining(rows_before: int, rows_last: int) -> bool:
    """Whether to join the last batch with the one before it; ask again after each join.

    Joins only batches of about one size, so that n rows that come one by one leave log n batches and are copied log n
    times; and only small batches, so that what a busy shard reads is never copied.
    """
    return rows_before + rows_last <= _MOST_JOINED_ROWS and rows_before <= 2 * max(rows_last, 1)


class Decoder(Protocol):
    """Turns Kinesis records into columns.

    Promises
    - Never raises for what a record holds: a record that cannot be placed becomes a row of `rejected`.
    - Every user record of the input ends in exactly one of rows, rejected, suppressed, handled.
    - Order is kept, and the same input gives the same output.
    - `version` grows whenever the same bytes would give other rows; every ledger entry names it.
    - `suppression_version` is the version of the suppression list that the next `decode` applies at least.
    """

    @property
    def version(self) -> int: ...
    @property
    def suppression_version(self) -> int: ...

    def decode(self, shard_id: ShardId, records: Sequence[KinesisRecord]) -> Batch: ...
