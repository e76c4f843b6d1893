"""Thins out rows that wait for live state to those that decide each device's newest record and place."""

from collections import deque

import numpy as np
import pyarrow as pa

from ingest.live.selection import select_newest

_DECIDING = ["device_id", "ts", "arrival_ts", "sequence_number", "sub_sequence", "lat", "lon", "flags"]
"""The columns that select_newest reads."""


def newest_of_each(batches: deque[pa.RecordBatch], most_rows: int, most_bytes: int) -> pa.RecordBatch:
    """Each device's newest row and newest row with a good position, in the rows' order, as far as they are in bounds.

    batches: of contracts.record.LANDING_SCHEMA, at least one row. They are taken out one by one: each is freed before
    the next is copied.
    """
    selection = select_newest(pa.concat_batches([batch.select(_DECIDING) for batch in batches]), 0)
    places = np.union1d(selection.newest, selection.placed[selection.placed >= 0])
    kept, start = list[pa.RecordBatch](), 0
    while batches:
        batch = batches.popleft()
        own = places[np.searchsorted(places, start) : np.searchsorted(places, start + batch.num_rows)] - start
        start += batch.num_rows
        part = first_of(batch, own, most_rows, most_bytes)
        most_rows, most_bytes = most_rows - part.num_rows, most_bytes - part.nbytes
        kept.append(part)
    return pa.concat_batches(kept)


def first_of(rows: pa.RecordBatch, places: np.ndarray, most_rows: int, most_bytes: int) -> pa.RecordBatch:
    """As many of the first rows at these places as are within both bounds, in memory of their own."""
    taken = rows.take(pa.array(places[: max(0, most_rows)]))
    count = taken.num_rows
    while count and taken.slice(0, count).nbytes > most_bytes:
        count //= 2
    return taken if count == taken.num_rows else taken.take(pa.array(np.arange(count)))
