"""Numbers to ASCII text by lookup tables: four characters of a row are one look-up and one 32-bit store."""

from collections.abc import Iterable

import numpy as np


def lookup_table(texts: Iterable[str]) -> np.ndarray:
    """A table with one unsigned integer per text; all texts have four ASCII characters, or all have two."""
    listed = list(texts)
    return np.frombuffer("".join(listed).encode("ascii"), f"u{len(listed[0])}")


FOUR_DIGITS = lookup_table(f"{number:04d}" for number in range(10_000))


def write_entries(buf: np.ndarray, start: int, entries: np.ndarray, numbers: np.ndarray) -> None:
    """Write each row's table entry into a matrix of bytes (uint8, contiguous), from column `start` on.

    entries: a lookup table; numbers: each row's index into it.
    """
    if len(buf):
        column = np.ndarray(len(buf), entries.dtype, buf, start, buf.strides[:1])
        column[:] = entries.take(numbers, mode="clip")


def split(numbers: np.ndarray, unit: int) -> tuple[np.ndarray, np.ndarray]:
    """Quotient and remainder of non-negative numbers; twice as fast as np.divmod, which does not use SIMD."""
    whole = numbers // unit
    return whole, numbers - whole * unit
