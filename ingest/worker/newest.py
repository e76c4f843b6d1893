"""The rows that decide live state, out of many."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.names import SEQUENCE_DIGITS
from contracts.record import BAD_POSITION


def newest_of_each(rows: pa.RecordBatch) -> pa.RecordBatch:
    """For each device its newest row and its newest row with a good position, in the order of live state's key.

    rows: contracts.record.LANDING_SCHEMA, any order. The key is (min(ts, arrival_ts), arrival_ts, sequence, sub).
    """
    ordered = rows.take(_by_key(rows))
    devices = ordered.column("device_id").dictionary_encode().indices.to_numpy()
    flags = ordered.column("flags").to_numpy(zero_copy_only=False)
    placed = pc.is_valid(ordered.column("lat")).to_numpy(zero_copy_only=False) & ((flags & BAD_POSITION) == 0)
    newest = _last_of_each(devices)
    newest[_last_of_each(np.where(placed, devices, -1)) & placed] = True
    return ordered.take(pa.array(np.flatnonzero(newest)))


def _by_key(rows: pa.RecordBatch) -> pa.Array:
    keys = pa.table(
        {
            "seen": pc.min_element_wise(rows.column("ts"), rows.column("arrival_ts")),
            "arrival": rows.column("arrival_ts"),
            "sequence": pc.utf8_lpad(rows.column("sequence_number"), SEQUENCE_DIGITS, "0"),
            "sub": rows.column("sub_sequence"),
        }
    )
    return pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names])


def _last_of_each(codes: np.ndarray) -> np.ndarray:
    """Whether each place is the last of its code."""
    _, from_end = np.unique(codes[::-1], return_index=True)
    last = np.zeros(len(codes), bool)
    last[len(codes) - 1 - from_end] = True
    return last
