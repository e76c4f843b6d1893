"""Order keys of a device's records: (min(ts, arrival_ts), arrival_ts, sequence number, sub-sequence), as text."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.names import SEQUENCE_DIGITS
from ingest.live.timetext import MS_DIGITS, fixed_texts, ms_digits

SUB_DIGITS = 6
ORDER_CHARACTERS = 2 * MS_DIGITS + SEQUENCE_DIGITS + SUB_DIGITS
NO_ORDER = "0" * ORDER_CHARACTERS
"""Sorts before every record."""


def order_key(ts_ms: int, arrival_ms: int, sequence_number: str, sub_sequence: int) -> str:
    """One record's order key as text of fixed width, so that it sorts as text."""
    return f"{min(ts_ms, arrival_ms):014d}{arrival_ms:014d}{sequence_number:0>56}{sub_sequence:06d}"


def order_keys(
    ts_ms: np.ndarray, arrival_ms: np.ndarray, sequences: pa.StringArray, subs: np.ndarray
) -> pa.StringArray:
    """Order keys of many records, at least one."""
    text = np.empty((len(ts_ms), ORDER_CHARACTERS), np.uint8)
    text[:, :MS_DIGITS] = ms_digits(np.minimum(ts_ms, arrival_ms))
    text[:, MS_DIGITS : 2 * MS_DIGITS] = ms_digits(arrival_ms)
    text[:, 2 * MS_DIGITS : -SUB_DIGITS] = _padded(sequences)
    text[:, -SUB_DIGITS:] = ms_digits(subs.astype(np.int64))[:, -SUB_DIGITS:]
    return fixed_texts(text)


def newest_rows(
    devices: np.ndarray,
    count: int,
    ts_ms: np.ndarray,
    arrival_ms: np.ndarray,
    sequences: pa.StringArray,
    subs: np.ndarray,
) -> np.ndarray:
    """The row with the greatest order key of each device, -1 for a device without a row.

    devices: each row's device as a number below `count`. Rows that tie on both times are compared one by one.
    """
    rows = np.arange(len(devices))
    for times in (np.minimum(ts_ms, arrival_ms), arrival_ms):
        best = np.zeros(count, np.int64)
        np.maximum.at(best, devices[rows], times[rows])
        rows = rows[times[rows] == best[devices[rows]]]
    newest = np.full(count, -1, np.int64)
    newest[devices[rows]] = rows
    tied = rows[np.bincount(devices[rows], minlength=count)[devices[rows]] > 1]
    if len(tied):
        keys = zip(sequences.take(pa.array(tied)).to_pylist(), subs[tied].tolist(), tied.tolist(), strict=True)
        for _, _, row in sorted((int(sequence), sub, row) for sequence, sub, row in keys):
            newest[devices[row]] = row
    return newest


def _padded(sequences: pa.StringArray) -> np.ndarray:
    """Sequence numbers, at least one, as rows of SEQUENCE_DIGITS bytes, padded with zeros."""
    if pc.min(pc.binary_length(sequences)).as_py() != SEQUENCE_DIGITS:
        sequences = pc.utf8_lpad(sequences, SEQUENCE_DIGITS, "0")
    _, offsets, data = sequences.buffers()
    start = int(np.frombuffer(offsets, np.int32)[sequences.offset])
    buf = np.frombuffer(data, np.uint8, count=len(sequences) * SEQUENCE_DIGITS, offset=start)
    return buf.reshape(len(sequences), SEQUENCE_DIGITS)
