"""Decodes what was read of a shard: in batches that a flush may hold, around records that break the decoder."""

from collections.abc import Sequence

import pyarrow as pa

from contracts.errors import FleetlakeError
from contracts.record import LANDING_SCHEMA, REJECTED_SCHEMA, RejectReason
from ingest.batch import Batch, Decoder, KinesisRecord
from ingest.bisection import Bisection
from ingest.landing import arrival_hours, runs_of_hours


class CountsDiffer(FleetlakeError):
    """A decoder broke its promise: user records are not rows + rejected + suppressed."""


def decode_in_hours(decoder: Decoder, shard_id: str, records: Sequence[KinesisRecord], open_hours: int) -> list[Batch]:
    """The records decoded, in order, in batches of at most `open_hours` arrival hours: almost always one.

    One answer of GetRecords may hold a day of a slow shard's backlog; such an answer is decoded again in pieces.
    """
    batches = decode_around(decoder, shard_id, records)
    if all(len(arrival_hours(batch)) <= open_hours for batch in batches):
        return batches
    runs = runs_of_hours(records, open_hours)
    return [batch for run in runs for batch in decode_around(decoder, shard_id, run)]


def decode_around(decoder: Decoder, shard_id: str, records: Sequence[KinesisRecord]) -> list[Batch]:
    """The records decoded, in order: one batch, or several around the records that break the decoder.

    A decoder promises not to raise for what a record holds and to account for each record; this holds where a decoder
    breaks that promise. Raises MemoryError where a single record finds no memory.
    """
    # As the decoder takes it: before anything is decoded.
    suppression = decoder.suppression_version
    batches: list[Batch] = []
    for start, stop in (ranges := Bisection(len(records))):
        try:
            batches.append(_checked(decoder.decode(shard_id, records[start:stop])))
        except Exception as error:  # noqa: BLE001 - whatever a record breaks, the others are decoded
            if ranges.alone(error):
                batches.append(poisoned(shard_id, records[start], error, suppression))
    return batches


def poisoned(shard_id: str, record: KinesisRecord, error: Exception, suppression_version: int) -> Batch:
    """A batch of one rejected record: all of its bytes, and the class of the error.

    suppression_version: of the list that the decoder applies; erasure waits for it, and searches rejected bytes.
    """
    return Batch(
        shard_id=shard_id,
        first_seq=record.sequence_number,
        last_seq=record.sequence_number,
        kinesis_records=1,
        user_records=1,
        rows=pa.RecordBatch.from_pylist([], LANDING_SCHEMA),
        rejected=poison_row(shard_id, record, error),
        max_arrival_ms=record.arrival_ms,
        suppression_version=suppression_version,
    )


def poison_row(
    shard_id: str, record: KinesisRecord, error: BaseException, *, data: bytes | None = None, sub_sequence: int = 0
) -> pa.RecordBatch:
    """A row of contracts.record.REJECTED_SCHEMA. data: of the user record, where it is not the whole Kinesis record."""
    row = {
        "reason": RejectReason.POISON.value,
        "error": type(error).__name__,
        "data": record.data if data is None else data,
        "partition_key": record.partition_key,
        "arrival_ts": record.arrival_ms * 1000,
        "shard_id": shard_id,
        "sequence_number": record.sequence_number,
        "sub_sequence": sub_sequence,
        "replayed_at": None,
    }
    columns = [pa.array([row[name]]).cast(REJECTED_SCHEMA.field(name).type) for name in REJECTED_SCHEMA.names]
    return pa.RecordBatch.from_arrays(columns, schema=REJECTED_SCHEMA)


def _checked(batch: Batch) -> Batch:
    if not batch.adds_up:
        raise CountsDiffer(f"{batch.user_records} user records are not landed + rejected + suppressed")
    return batch
