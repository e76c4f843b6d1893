"""Randomness without state: the same key and moment always give the same number, whichever window is simulated."""

from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Moments = NDArray[np.int64]
"""Epoch milliseconds."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


def uniform(key: int, salt: str, moments: Moments) -> Floats:
    """Numbers in [0, 1), one a moment. SplitMix64 (Steele, Lea, Flood 2014) over key, salt and moment."""
    start = np.uint64((key * 0xD1342543DE82EF95 + crc32(salt.encode()) * 0x2545F4914F6CDD1D) & 0xFFFFFFFFFFFFFFFF)
    z = (moments.astype(np.uint64) + start) * _GOLDEN
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return ((z ^ (z >> _S31)) >> _S11).astype(np.float64) * 2.0**-53


def around_zero(key: int, salt: str, moments: Moments) -> Floats:
    """Numbers in [-1, 1), one a moment."""
    return uniform(key, salt, moments) * 2.0 - 1.0


def generator(*key: int | str) -> np.random.Generator:
    """A generator for a key: for what is drawn once, not once a moment."""
    return np.random.default_rng([part if isinstance(part, int) else crc32(part.encode()) for part in key])
