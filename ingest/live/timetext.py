"""Epoch milliseconds as RFC 3339 text, a column at once."""

import numpy as np
import pyarrow as pa

from ingest.live.words import FOUR_DIGITS, split, write

MS_DIGITS = 14
"""Digits that an epoch time in milliseconds is padded to: enough until the year 5138."""
_WORDS_MS = 16
"""Letters of the four words that hold them."""
_DAY_MS = 86_400_000
_WIDTH = len("2026-01-01T00:00:00.000Z")
_PAIRS = np.array([list(f"{number:02d}".encode()) for number in range(100)], np.uint8)
_TRIPLES = np.array([list(f"{number:03d}".encode()) for number in range(1000)], np.uint8)


def time_texts(ms: np.ndarray) -> list[str]:
    """Texts such as 2026-01-01T00:00:00.000Z. ms: years 1000 to 9999."""
    days, in_day = np.divmod(ms, _DAY_MS)
    seconds, millis = np.divmod(in_day, 1000)
    minutes, second = np.divmod(seconds, 60)
    hour, minute = np.divmod(minutes, 60)
    text = np.empty((len(ms), _WIDTH), np.uint8)
    text[:] = np.frombuffer(b"0000-00-00T00:00:00.000Z", np.uint8)
    distinct, which = np.unique(days, return_inverse=True)
    text[:, :10] = _dates(distinct)[which]
    text[:, 11:13], text[:, 14:16], text[:, 17:19] = _PAIRS[hour], _PAIRS[minute], _PAIRS[second]
    text[:, 20:23] = _TRIPLES[millis]
    texts: list[str] = fixed_texts(text).to_pylist()
    return texts


def fixed_texts(letters: np.ndarray) -> pa.StringArray:
    """A matrix of ASCII bytes as texts, one a row."""
    count, width = letters.shape
    offsets = np.arange(count + 1, dtype=np.int32) * np.int32(width)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(letters)))


def ms_digits(ms: np.ndarray) -> np.ndarray:
    """Non-negative epoch milliseconds as rows of MS_DIGITS ASCII digits, padded with zeros."""
    out = np.empty((len(ms), _WORDS_MS), np.uint8)
    rest = ms
    for start in range(_WORDS_MS - 4, -1, -4):
        rest, group = split(rest, 10_000)
        write(out, start, FOUR_DIGITS, group)
    return out[:, _WORDS_MS - MS_DIGITS :]


def _dates(days: np.ndarray) -> np.ndarray:
    texts = days.astype("datetime64[D]").astype("S10")
    return texts.view(np.uint8).reshape(len(days), 10)
