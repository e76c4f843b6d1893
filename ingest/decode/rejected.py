"""User records that cannot be placed, as rows of the rejected schema."""

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from contracts.record import REJECTED_SCHEMA, RejectReason
from ingest.decode.times import timestamps
from ingest.decode.users import UserRecords
from ingest.records import arrivals_ms, partition_keys_of, sequence_numbers_of

_NONE = pa.RecordBatch.from_pylist([], REJECTED_SCHEMA)


class Refusal(NamedTuple):
    """A user record that is refused: its place in the batch, the reason, and what is wrong, without its values."""

    place: int
    reason: RejectReason
    error: str


def rejected_rows(shard_id: str, users: UserRecords, refusals: Sequence[Refusal]) -> pa.RecordBatch:
    """Rows of contracts.record.REJECTED_SCHEMA, in the order of the stream."""
    if not refusals:
        return _NONE
    refusals = sorted(refusals)
    # By column: a Kinesis record made whole for each of its user records would be copied as often as it has any.
    parents = users.parents[[refusal.place for refusal in refusals]]
    taken = pa.array(parents)
    columns = {
        "reason": pa.array([refusal.reason.value for refusal in refusals], pa.string()),
        "error": pa.array([refusal.error for refusal in refusals], pa.string()),
        "data": pa.array([users.datas[refusal.place] for refusal in refusals], pa.binary()),
        "partition_key": partition_keys_of(users.records).take(taken),
        "arrival_ts": timestamps(arrivals_ms(users.records)[parents]),
        "shard_id": pa.array([shard_id] * len(refusals), pa.string()),
        "sequence_number": sequence_numbers_of(users.records).take(taken),
        "sub_sequence": pa.array([users.subs[refusal.place] for refusal in refusals], pa.int32()),
        "replayed_at": pa.nulls(len(refusals), REJECTED_SCHEMA.field("replayed_at").type),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in REJECTED_SCHEMA.names], schema=REJECTED_SCHEMA)
