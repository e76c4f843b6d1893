"""Whether positions move: over a window, so that a receiver's noise is no motion."""

from typing import Any

from lake.derive.motion.compiling import scalar
from lake.derive.motion.geometry import east_km, north_km

STILL_KM = 0.05
"""Positions within this radius of their mean are one place. A receiver in the open is off by at most 8 m in 95 of
100 cases (GPS SPS Performance Standard, 2020), among buildings by several times that."""
_MEAN_US = 45_000_000
"""Positions so close together are averaged; sparser ones stand alone."""
_STILL_US = 120_000_000


@scalar
def shift(ts: Any, lat: Any, lon: Any, places: Any, before: int) -> tuple[float, float]:
    """How far (km) and in how many seconds the mean of the positions up to one moved to the mean of those after it.

    places: the moments with a kept position. before: index in places, not the last. The means are over _MEAN_US, so
    noise of independent positions is averaged out. Of positions farther apart this is the step itself.
    """
    origin = places[before]
    away_east, away_north, away_s = _mean(ts, lat, lon, places, before + 1, 1, origin)
    here_east, here_north, here_s = _mean(ts, lat, lon, places, before, -1, origin)
    east, north = away_east - here_east, away_north - here_north
    return (east * east + north * north) ** 0.5, away_s - here_s


@scalar
def _mean(ts: Any, lat: Any, lon: Any, places: Any, first: int, step: int, origin: int) -> tuple[float, float, float]:
    """Mean of the positions from `first` in one direction, in km and seconds from `origin`."""
    count, east, north, seconds, at = 0, 0.0, 0.0, 0.0, first
    while 0 <= at < len(places) and abs(ts[places[at]] - ts[places[first]]) <= _MEAN_US:
        moment = places[at]
        east += east_km(lat[origin], lon[origin], lon[moment])
        north += north_km(lat[origin], lat[moment])
        seconds += (ts[moment] - ts[origin]) / 1e6
        count += 1
        at += step
    return east / count, north / count, seconds / count


@scalar
def is_still(ts: Any, lat: Any, lon: Any, places: Any, before: int) -> bool:
    """Whether all positions within _STILL_US around a step lie within STILL_KM of their mean."""
    origin = places[before]
    low, high = before, before + 2
    while low > 0 and ts[origin] - ts[places[low - 1]] <= _STILL_US:
        low -= 1
    while high < len(places) and ts[places[high]] - ts[places[before + 1]] <= _STILL_US:
        high += 1
    east, north = 0.0, 0.0
    for at in range(low, high):
        east += east_km(lat[origin], lon[origin], lon[places[at]])
        north += north_km(lat[origin], lat[places[at]])
    east, north = east / (high - low), north / (high - low)
    for at in range(low, high):
        off_east = east_km(lat[origin], lon[origin], lon[places[at]]) - east
        off_north = north_km(lat[origin], lat[places[at]]) - north
        if off_east * off_east + off_north * off_north > STILL_KM * STILL_KM:
            return False
    return True
