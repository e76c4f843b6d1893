"""Room that compiled code writes texts into, and what it wrote as a column."""

import numpy as np
import pyarrow as pa

from ingest.compiled.tokens import Texts


def text_room(count: int, size: int) -> Texts:
    """Room for so many texts of `size` bytes in all. Memory that is not written to is not taken."""
    ends = np.empty(count + 1, np.int32)
    ends[0] = 0
    return Texts(np.empty(size, np.uint8), ends)


def text_column(texts: Texts, count: int, present: np.ndarray | None = None) -> pa.StringArray:
    """The first `count` texts, copied out of their room; null where not present (uint8)."""
    if present is not None and not present.any():
        return pa.nulls(count, pa.string())
    ends = texts.ends[: count + 1].copy()
    letters = texts.letters[: ends[-1]].copy()
    valid = None
    if present is not None and not present.all():
        valid = pa.py_buffer(np.packbits(present, bitorder="little"))
    return pa.StringArray.from_buffers(count, pa.py_buffer(ends), pa.py_buffer(letters), valid)
