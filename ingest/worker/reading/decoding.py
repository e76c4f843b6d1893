"""What was read of a shard to batches that a flush may hold."""

from collections.abc import Sequence

from ingest.batch import Batch, Decoder, KinesisRecord
from ingest.landing import arrival_hours, runs_of_hours
from ingest.worker.reading.poison import decode_around


def decode_in_hours(decoder: Decoder, shard_id: str, records: Sequence[KinesisRecord], open_hours: int) -> list[Batch]:
    """The records decoded, in order, in batches of at most `open_hours` arrival hours: almost always one.

    A slow shard's backlog may hold a day in one answer of GetRecords; such a one is decoded again in pieces.
    """
    batches = decode_around(decoder, shard_id, records)
    if all(len(arrival_hours(batch)) <= open_hours for batch in batches):
        return batches
    runs = runs_of_hours(records, open_hours)
    return [batch for run in runs for batch in decode_around(decoder, shard_id, run)]
