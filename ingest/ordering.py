"""Sorts rows by a small integer and a time, several times faster than a sort by columns."""

import numpy as np

_KEY_BITS = 63


def places_by(rank: np.ndarray, ts_ms: np.ndarray) -> np.ndarray:
    """Row numbers sorted by (rank, ts, row number): the same for the same rows on every machine.

    rank: int64, not negative. The three are packed into one integer a row and sorted as such; where they need more
    than 63 bits (event times years apart in a very large batch) they are sorted by columns.
    """
    count = len(ts_ms)
    if count == 0:
        return np.zeros(0, np.int64)
    since = ts_ms - ts_ms.min()
    ts_bits, place_bits = int(since.max()).bit_length(), (count - 1).bit_length()
    if int(rank.max()).bit_length() + ts_bits + place_bits > _KEY_BITS:
        return np.lexsort((since, rank))
    key = (rank << (ts_bits + place_bits)) | (since << place_bits) | np.arange(count)
    key.sort()
    places: np.ndarray = key & ((1 << place_bits) - 1)
    return places
