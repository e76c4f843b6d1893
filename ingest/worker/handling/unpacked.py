"""The decoder of those who handle records themselves: it takes KPL aggregates apart and decodes nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from contracts.record import LANDING_SCHEMA, REJECTED_SCHEMA
from ingest.batch import Batch, KinesisRecord, ShardId
from ingest.decode.users import UserRecords, user_records
from ingest.records import arrivals_ms

NO_ROWS = pa.RecordBatch.from_pylist([], LANDING_SCHEMA)
NONE_REJECTED = pa.RecordBatch.from_pylist([], REJECTED_SCHEMA)


@dataclass(slots=True, kw_only=True)
class Unpacked(Batch):
    """Consecutive Kinesis records with the user records in them, for a handler."""

    users: UserRecords


class Unpacking:
    """A Decoder that leaves every user record to the handler. What is no aggregate, as it seems, is one user record."""

    version = 1
    suppression_version = 0

    def decode(self, shard_id: ShardId, records: Sequence[KinesisRecord]) -> Unpacked:
        """The user records of these Kinesis records."""
        users = user_records(records)
        return Unpacked(
            shard_id=shard_id,
            first_seq=records[0].sequence_number,
            last_seq=records[-1].sequence_number,
            kinesis_records=len(records),
            user_records=len(users.datas),
            rows=NO_ROWS,
            rejected=NONE_REJECTED,
            handled=len(users.datas),
            max_arrival_ms=int(arrivals_ms(records).max()),
            users=users,
        )
