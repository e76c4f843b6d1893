"""Records that break the decoder itself: found by halving, rejected alone, while the rest goes on."""

from collections.abc import Sequence

import pyarrow as pa

from contracts.record import LANDING_SCHEMA, REJECTED_SCHEMA, RejectReason
from ingest.batch import Batch, Decoder, KinesisRecord


def decode_around(decoder: Decoder, shard_id: str, records: Sequence[KinesisRecord]) -> list[Batch]:
    """The records decoded, in order: one batch, or several around those that break the decoder.

    A decoder promises not to raise for what a record holds; this holds where it does not keep the promise.
    """
    try:
        return [decoder.decode(shard_id, records)]
    except Exception as error:  # noqa: BLE001 - whatever a decoder raises, one bad record must not stop a shard
        if len(records) == 1:
            return [poisoned(shard_id, records[0], error)]
    middle = len(records) // 2
    return decode_around(decoder, shard_id, records[:middle]) + decode_around(decoder, shard_id, records[middle:])


def poisoned(shard_id: str, record: KinesisRecord, error: Exception) -> Batch:
    """A batch of one rejected record: its bytes whole, and the class of what it raised."""
    row = {
        "reason": RejectReason.POISON.value,
        "error": type(error).__name__,
        "data": record.data,
        "partition_key": record.partition_key,
        "arrival_ts": record.arrival_ms * 1000,
        "shard_id": shard_id,
        "sequence_number": record.sequence_number,
        "sub_sequence": 0,
        "replayed_at": None,
    }
    columns = [pa.array([row[name]]).cast(REJECTED_SCHEMA.field(name).type) for name in REJECTED_SCHEMA.names]
    return Batch(
        shard_id=shard_id,
        first_seq=record.sequence_number,
        last_seq=record.sequence_number,
        kinesis_records=1,
        user_records=1,
        rows=pa.RecordBatch.from_pylist([], LANDING_SCHEMA),
        rejected=pa.RecordBatch.from_arrays(columns, schema=REJECTED_SCHEMA),
        bytes_read=len(record.data),
        max_arrival_ms=record.arrival_ms,
    )
