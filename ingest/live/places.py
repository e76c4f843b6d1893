"""Places as Redis' geo sets keep them: a sorted set's score of 52 bits."""

import numpy as np

MAX_LATITUDE_DEG = 85.05112878
"""Limit of geo sets, that of web Mercator: nearer to the poles a device has a trail but no position in the geo set."""
MAX_LONGITUDE_DEG = 180.0
_STEPS = 2**26
_SPREAD = ((16, 0x0000FFFF0000FFFF), (8, 0x00FF00FF00FF00FF), (4, 0x0F0F0F0F0F0F0F0F), (2, 0x3333333333333333),
           (1, 0x5555555555555555))  # fmt: skip


def geo_scores(longitude_deg: np.ndarray, latitude_deg: np.ndarray) -> np.ndarray:
    """The scores that GEOADD gives these places: 26 bits of each coordinate in turn, longitude first.

    As geohashEncode of Valkey's geohash.c does it, with the same arithmetic, so that the scores are the same.
    """
    latitude = (latitude_deg + MAX_LATITUDE_DEG) / (2 * MAX_LATITUDE_DEG) * _STEPS
    longitude = (longitude_deg + MAX_LONGITUDE_DEG) / (2 * MAX_LONGITUDE_DEG) * _STEPS
    scores: np.ndarray = _spread(latitude) | (_spread(longitude) << np.uint64(1))
    return scores


def _spread(values: np.ndarray) -> np.ndarray:
    """The bits of whole parts below 2^32, a zero before each."""
    bits = values.astype(np.uint64)
    for shift, mask in _SPREAD:
        bits = (bits | (bits << np.uint64(shift))) & np.uint64(mask)
    return bits
