"""Rejected records: read from their objects, and as they are put back."""

from collections.abc import Iterable, Iterator

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.kpl import aggregate, is_aggregate
from contracts.record import REJECTED_SCHEMA, RejectReason
from ingest.replay.origin import Position, origin_key, origin_of, route_of
from ingest.replay.writer import MOST_BYTES, MOST_RECORDS, Outgoing

_WHOLE = {RejectReason.BAD_AGGREGATE.value, RejectReason.POISON.value}
"""Reasons whose records were rejected as whole Kinesis records, aggregates included."""


class Reject(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a rejected object."""

    reason: str
    data: bytes
    partition_key: str | None
    at: Position

    @property
    def replayed(self) -> bool:
        """Whether this record was put back before and rejected again."""
        return origin_of(self.partition_key) is not None

    def outgoing(self) -> Outgoing:
        """The record to put: the device's bytes, its shard, and its origin.

        A user record that looks like an aggregate itself would be de-aggregated when it is read again, so it is put in
        an aggregate of its own.
        """
        data = self.data
        if is_aggregate(data) and self.reason not in _WHOLE:
            data = aggregate([(self.partition_key or "-", data)])
        return Outgoing(origin_key(self.partition_key, self.at), route_of(self.partition_key), data)


def rejects_in(parquet: bytes) -> list[Reject]:
    """The rows of a rejected object."""
    columns = ["reason", "data", "partition_key", "shard_id", "sequence_number", "sub_sequence"]
    table = pq.read_table(pa.BufferReader(parquet), columns=columns, schema=REJECTED_SCHEMA)
    return [
        Reject(
            reason=row["reason"],
            data=row["data"],
            partition_key=row["partition_key"],
            at=Position(row["shard_id"], row["sequence_number"], row["sub_sequence"]),
        )
        for row in table.to_pylist()
    ]


def requests_of(rejects: Iterable[Reject]) -> Iterator[list[Reject]]:
    """Groups of rejects that one request may put; a larger reject is a group of its own."""
    run: list[Reject] = []
    size = 0
    for reject in rejects:
        if run and (len(run) == MOST_RECORDS or size + len(reject.data) > MOST_BYTES):
            yield run
            run, size = [], 0
        run.append(reject)
        size += len(reject.data)
    if run:
        yield run
