"""Flags of records with odd values: the bits of contracts.record.Flag, column by column."""

import numpy as np

from contracts.not_available import NOT_AVAILABLE, TOLERANCE
from contracts.record import AHEAD_NOTED_MS, GPS_ROLLOVER_MS, READINGS, ROLLOVER_NOTED_MS, Flag
from ingest.decode.columns import Readings

_NULL_ISLAND_DEG = 1e-6
_BITS = {"lat": Flag.POSITION_OUT_OF_RANGE, "lon": Flag.POSITION_OUT_OF_RANGE, "speed_kmh": Flag.IMPOSSIBLE_SPEED}


def flags_of(readings: Readings, ts_ms: np.ndarray, arrival_ms: np.ndarray) -> np.ndarray:
    """Flags of every row (int32), except WRONG_TYPE, which only the reader knows."""
    flags = np.zeros(len(ts_ms), np.int32)
    for reading in READINGS:
        values = readings[reading.name]
        if values is None:
            continue
        # Two comparisons rather than a negated one: NaN stands for null, which is never out of range.
        outside = (values < reading.low) | (values > reading.high)
        if outside.any():
            flags[outside] |= _BITS.get(reading.name, Flag.VALUE_OUT_OF_RANGE)
        _flag_not_available(flags, reading.name, values)
    _flag_position(flags, readings["lat"], readings["lon"])
    flags[ts_ms > arrival_ms + AHEAD_NOTED_MS] |= Flag.CLOCK_AHEAD
    flags[np.abs(arrival_ms - ts_ms - GPS_ROLLOVER_MS) <= ROLLOVER_NOTED_MS] |= Flag.WEEK_ROLLOVER
    return flags


def _flag_not_available(flags: np.ndarray, name: str, values: np.ndarray) -> None:
    codes = NOT_AVAILABLE.get(name)
    if codes is None:
        return
    high = np.flatnonzero(values >= min(codes) - TOLERANCE)
    for code in codes if len(high) else ():
        flags[high[np.abs(values[high] - code) <= TOLERANCE]] |= Flag.NOT_AVAILABLE


def _flag_position(flags: np.ndarray, lat: np.ndarray | None, lon: np.ndarray | None) -> None:
    if lat is None and lon is None:
        return
    no_lat = np.ones(len(flags), bool) if lat is None else np.isnan(lat)
    no_lon = np.ones(len(flags), bool) if lon is None else np.isnan(lon)
    flags[no_lat != no_lon] |= Flag.POSITION_INCOMPLETE
    if lat is not None and lon is not None:
        flags[(np.abs(lat) <= _NULL_ISLAND_DEG) & (np.abs(lon) <= _NULL_ISLAND_DEG)] |= Flag.NULL_ISLAND
