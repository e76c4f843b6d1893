"""Cutting what was read where the arrival hour changes, so that no batch holds more hours than a flush may."""

from collections.abc import Sequence

from ingest.batch import KinesisRecord, arrivals_ms
from ingest.landing.flush import HOUR_MS


def runs_of_hours(records: Sequence[KinesisRecord], open_hours: int) -> list[Sequence[KinesisRecord]]:
    """Consecutive records in runs of at most `open_hours` arrival hours each; almost always one run.

    A slow shard's backlog may hold a day in one answer of GetRecords.
    """
    if not records:
        return []
    hour_of = arrivals_ms(records) // HOUR_MS
    if hour_of.min() == hour_of.max():
        return [records]
    runs, start, hours = [], 0, set[int]()
    for place, hour in enumerate(hour_of.tolist()):
        if hour not in hours and len(hours) == open_hours:
            runs.append(records[start:place])
            start, hours = place, set()
        hours.add(hour)
    return [*runs, records[start:]]
