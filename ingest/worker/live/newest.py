"""The rows that decide live state, out of many."""

import numpy as np
import pyarrow as pa

from ingest.live.selection import select_newest


def newest_of_each(rows: pa.RecordBatch) -> pa.RecordBatch:
    """For each device its newest row and its newest row with a good position, in the rows' order.

    rows: contracts.record.LANDING_SCHEMA, any order, at least one.
    """
    selection = select_newest(rows, 0)
    kept = np.union1d(selection.newest, selection.placed[selection.placed >= 0])
    return rows.take(pa.array(kept))


def first_of(rows: pa.RecordBatch, most_rows: int, most_bytes: int) -> pa.RecordBatch:
    """As many of the first rows as are within both bounds, in memory of their own."""
    count = min(rows.num_rows, most_rows)
    while count and rows.slice(0, count).nbytes > most_bytes:
        count //= 2
    return rows if count == rows.num_rows else rows.take(pa.array(np.arange(count)))
