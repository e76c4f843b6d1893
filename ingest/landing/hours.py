"""Cutting what was read where the arrival hour changes, so that no batch holds more hours than a flush may."""

from collections.abc import Sequence

from ingest.batch import KinesisRecord
from ingest.landing.flush import HOUR_MS


def runs_of_hours(records: Sequence[KinesisRecord], open_hours: int) -> list[Sequence[KinesisRecord]]:
    """Consecutive records in runs of at most `open_hours` arrival hours each; almost always one run.

    A slow shard's backlog may hold a day in one answer of GetRecords.
    """
    if not records:
        return []
    arrivals = [record.arrival_ms for record in records]
    if min(arrivals) // HOUR_MS == max(arrivals) // HOUR_MS:
        return [records]
    runs, start, hours = [], 0, set[int]()
    for place, record in enumerate(records):
        hour = record.arrival_ms // HOUR_MS
        if hour not in hours and len(hours) == open_hours:
            runs.append(records[start:place])
            start, hours = place, set()
        hours.add(hour)
    return [*runs, records[start:]]
