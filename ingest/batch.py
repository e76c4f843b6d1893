"""What passes between the parts of the consumer: records as read, and batches as decoded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import pyarrow as pa

ShardId = str


class KinesisRecord(msgspec.Struct, frozen=True, gc=False):
    """One record as GetRecords gives it. It holds no cycles, so the garbage collector need not walk it."""

    sequence_number: str
    arrival_ms: int
    partition_key: str
    data: bytes


@dataclass(slots=True)
class Batch:
    """Consecutive Kinesis records of one shard, decoded.

    Promise: user_records == rows.num_rows + rejected.num_rows + suppressed.
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
    bytes_read: int = 0
    max_arrival_ms: int = 0
    unknown_fields: Mapping[str, int] = field(default_factory=dict)
    """Records in which each name stood that the contract does not know; `*` is every name beyond the first 1,000."""
    suppression_version: int = 0
    """Version of the suppression list that was applied."""


class Decoder(Protocol):
    """Turns Kinesis records into columns.

    Promises
    - Never raises for what a record holds: a record that cannot be placed becomes a row of `rejected`.
    - Every user record of the input ends in exactly one of rows, rejected, suppressed.
    - Order is kept, and the same input gives the same output.
    """

    def decode(self, shard_id: ShardId, records: Sequence[KinesisRecord]) -> Batch: ...
