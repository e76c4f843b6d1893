"""Epoch milliseconds to RFC 3339 text, column by column."""

import numpy as np
import pyarrow as pa

from ingest.live.digit_tables import FOUR_DIGITS, lookup_table, split, write_entries

MS_DIGITS = 14
"""Digits that an epoch time in milliseconds is padded to: enough until the year 5138."""
_PADDED_MS = 16
"""Width of the four table entries that hold them."""
_DAY_MS = 86_400_000
_WIDTH = len("2026-01-01T00:00:00.000Z")
_HOURS = lookup_table(f"T{hour:02d}:" for hour in range(24))
_TEN_SECONDS = lookup_table(f"{minute:02d}:{ten}" for minute in range(60) for ten in range(6))
_SECONDS = lookup_table(f"{second}.{hundredth:02d}" for second in range(10) for hundredth in range(100))
_LAST = lookup_table(f"{ms}Z" for ms in range(10))


def time_texts(ms: np.ndarray) -> list[str]:
    """Texts such as 2026-01-01T00:00:00.000Z. ms: years 1000 to 9999."""
    text = np.empty((len(ms), _WIDTH), np.uint8)
    days, rest = split(ms, _DAY_MS)
    distinct, which = np.unique(days, return_inverse=True)
    text[:, :10] = _dates(distinct)[which]
    hours, rest = split(rest, 3_600_000)
    ten_seconds, rest = split(rest, 10_000)
    hundredths, rest = split(rest, 10)
    write_entries(text, 10, _HOURS, hours)
    write_entries(text, 14, _TEN_SECONDS, ten_seconds)
    write_entries(text, 18, _SECONDS, hundredths)
    write_entries(text, 22, _LAST, rest)
    texts: list[str] = fixed_texts(text).to_pylist()
    return texts


def fixed_texts(buf: np.ndarray) -> pa.StringArray:
    """A matrix of ASCII bytes as a string column, one text per row."""
    count, width = buf.shape
    offsets = np.arange(count + 1, dtype=np.int32) * np.int32(width)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(buf)))


def ms_digits(ms: np.ndarray) -> np.ndarray:
    """Non-negative epoch milliseconds as rows of MS_DIGITS ASCII digits, padded with zeros."""
    out = np.empty((len(ms), _PADDED_MS), np.uint8)
    rest = ms
    for start in range(_PADDED_MS - 4, -1, -4):
        rest, group = split(rest, 10_000)
        write_entries(out, start, FOUR_DIGITS, group)
    return out[:, _PADDED_MS - MS_DIGITS :]


def _dates(days: np.ndarray) -> np.ndarray:
    texts = days.astype("datetime64[D]").astype("S10")
    return texts.view(np.uint8).reshape(len(days), 10)
