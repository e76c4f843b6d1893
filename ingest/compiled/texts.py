"""Buffers into which compiled code writes a column of texts, and the column that they become."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ingest.compiled.compiling import helper
from ingest.compiled.tokens import equal_bytes


class TextBuffers(NamedTuple):
    """The two buffers of an Arrow string column, filled from the front."""

    buf: np.ndarray
    """UTF-8 bytes of the texts, one after the other (uint8)."""
    ends: np.ndarray
    """ends[i + 1] is where text i ends (int32)."""


def text_buffers(count: int, size: int) -> TextBuffers:
    """Buffers for at most `count` texts of `size` bytes in total. The system commits only the pages written to."""
    ends = np.empty(count + 1, np.int32)
    ends[0] = 0
    return TextBuffers(np.empty(size, np.uint8), ends)


def text_column(texts: TextBuffers, count: int, present: np.ndarray | None = None) -> pa.StringArray:
    """A copy of the first `count` texts as a column; null where `present` (uint8) is 0."""
    if present is not None and not present.any():
        return pa.nulls(count, pa.string())
    ends = texts.ends[: count + 1].copy()
    buf = texts.buf[: ends[-1]].copy()
    valid = None
    if present is not None and not present.all():
        valid = pa.py_buffer(np.packbits(present, bitorder="little"))
    return pa.StringArray.from_buffers(count, pa.py_buffer(ends), pa.py_buffer(buf), valid)


@helper
def put(texts: TextBuffers, number: int, buf: np.ndarray, start: int, end: int) -> None:
    """Copy bytes [start, end) as text `number`; all texts before it must have been written."""
    to = texts.ends[number]
    for place in range(end - start):
        texts.buf[to + place] = buf[start + place]
    texts.ends[number + 1] = to + (end - start)


@helper
def contains(texts: TextBuffers, first: int, number: int, buf: np.ndarray, start: int, end: int) -> bool:
    """Whether bytes [start, end) equal one of the texts from `first` up to, not including, `number`."""
    for other in range(first, number):
        begin = texts.ends[other]
        if texts.ends[other + 1] - begin == end - start and equal_bytes(buf, start, texts.buf, begin, end - start):
            return True
    return False
