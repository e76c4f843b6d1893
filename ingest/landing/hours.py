"""Arrival hours of batches and records, and runs of records that hold no more hours than a flush may."""

from collections.abc import Sequence

import pyarrow.compute as pc

from ingest.batch import Batch, KinesisRecord
from ingest.landing.flush import HOUR_MS
from ingest.records import arrivals_ms


def arrival_hours(batch: Batch) -> set[int]:
    """Arrival hours of a batch's rows, landed and rejected, as hours since the epoch."""
    hours: set[int] = set()
    for rows in (batch.rows, batch.rejected):
        if not rows.num_rows:
            continue
        arrivals = rows.column("arrival_ts").cast("int64")
        bounds = pc.min_max(arrivals)
        first, last = (bounds[end].as_py() // (1000 * HOUR_MS) for end in ("min", "max"))
        hours |= {first, last}
        if last - first > 1:
            hours |= set(pc.unique(pc.divide(arrivals, 1000 * HOUR_MS)).to_pylist())
    return hours


def runs_of_hours(records: Sequence[KinesisRecord], open_hours: int) -> list[Sequence[KinesisRecord]]:
    """Consecutive records in runs of at most `open_hours` arrival hours each."""
    if not records:
        return []
    runs, start, hours = [], 0, set[int]()
    for place, hour in enumerate((arrivals_ms(records) // HOUR_MS).tolist()):
        if hour not in hours and len(hours) == open_hours:
            runs.append(records[start:place])
            start, hours = place, set()
        hours.add(hour)
    return [*runs, records[start:]]
