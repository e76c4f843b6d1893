"""Positions and odometer readings that cannot be true, found by their neighbours."""

from typing import Any

import numpy as np

from lake.derive.motion.compiling import helper, scalar
from lake.derive.motion.geometry import haversine_km

FASTEST_KMH = 300.0
"""The contract's highest plausible speed."""
JUMP_KM = 1.0
"""A step longer than this at more than FASTEST_KMH is a receiver's error, not a journey, even if nothing returns from
it. Shorter ones are counted: at the second's resolution of many receivers a few hundred metres may look faster."""

_NEAR_KM = 0.1
_TOLD_US = 30_000_000
"""For so long the speeds at both ends bound the speed between them."""
_SPARE_KMH, _SPARE = 60.0, 2.0
_EXCURSION_US = 300_000_000
_EXCURSION_POSITIONS = 3
_STANDING_KMH = 3.0
_OFF_ZERO_DEG = 0.01
_ONE_SECOND_US = 1_000_000


@helper
def keep_positions(ts: Any, lat: Any, lon: Any, speed: Any) -> Any:
    """Which moments have a position that may be used.

    Left out, so that its neighbours are joined:
    - a single zero: a latitude or longitude of exactly 0 where the position before it (or, at the start, after it) is
      not near 0. Receivers and gateways write 0 for a half that they lack.
    - an excursion: positions that could be reached and left only faster than is possible, within five minutes or
      three positions. Reflections of a signal between buildings make them. What is possible is FASTEST_KMH and, where
      the speeds at both ends are known and half a minute apart at most, twice the higher of them and 60 km/h more.
    - a last step of such a kind between two moments that both report standing.
    Like Traccar's `filter.maxSpeed` the rule compares with the position kept before; it judges only once it sees what
    came after.
    """
    kept = np.zeros(len(ts), np.bool_)
    anchor, at = -1, 0
    while at < len(ts):
        if np.isnan(lat[at]) or _half_zero(lat, lon, anchor, at):
            at += 1
            continue
        if anchor >= 0 and _impossible(ts, lat, lon, speed, anchor, at):
            back = _return(ts, lat, lon, speed, anchor, at)
            if back >= 0:
                at = back
                continue
            if _stands(speed[anchor]) and _stands(speed[at]) and not _confirmed(ts, lat, lon, speed, at):
                at += 1
                continue
        kept[at] = True
        anchor = at
        at += 1
    return kept


@scalar
def is_jump(km: float, elapsed_us: int) -> bool:
    """Whether a step between kept positions is no journey."""
    return km > JUMP_KM and km * 3600e6 > FASTEST_KMH * elapsed_us


@helper
def keep_odometer(ts: Any, odometer: Any) -> Any:
    """1 where an odometer reading may be used, 2 where it begins anew after a reset, 0 where there is none to be used.

    A reading that cannot follow the one kept before it is a spike if one of the next three can, and is left out.
    Otherwise the counter began anew, and what is between is not known.
    """
    kept = np.zeros(len(ts), np.int8)
    anchor = -1
    for at in range(len(ts)):
        if np.isnan(odometer[at]):
            continue
        if anchor < 0 or follows(ts, odometer, anchor, at):
            kept[at] = 1
            anchor = at
        elif not _resumes(ts, odometer, anchor, at):
            kept[at] = 2
            anchor = at
    return kept


@scalar
def follows(ts: Any, odometer: Any, before: int, after: int) -> bool:
    """Whether the odometer can have grown from one reading to the other."""
    grown = odometer[after] - odometer[before]
    return bool(0 <= grown <= FASTEST_KMH * (ts[after] - ts[before]) / 3600e6 + JUMP_KM)


@scalar
def _resumes(ts: Any, odometer: Any, anchor: int, at: int) -> bool:
    seen, later = 0, at + 1
    while later < len(ts) and seen < _EXCURSION_POSITIONS:
        if not np.isnan(odometer[later]):
            if follows(ts, odometer, anchor, later):
                return True
            seen += 1
        later += 1
    return False


@scalar
def _half_zero(lat: Any, lon: Any, anchor: int, at: int) -> bool:
    if lat[at] != 0 and lon[at] != 0:
        return False
    other = anchor if anchor >= 0 else _next(lat, at)
    if other < 0:
        return False
    return bool(
        (lat[at] == 0 and abs(lat[other]) > _OFF_ZERO_DEG) or (lon[at] == 0 and abs(lon[other]) > _OFF_ZERO_DEG)
    )


@scalar
def _impossible(ts: Any, lat: Any, lon: Any, speed: Any, one: int, other: int) -> bool:
    """Whether a device cannot have come from one position to the other; a second is allowed for the clock."""
    km = haversine_km(lat[one], lon[one], lat[other], lon[other])
    if km <= _NEAR_KM:
        return False
    elapsed_us, fastest = ts[other] - ts[one], FASTEST_KMH
    if elapsed_us <= _TOLD_US and not np.isnan(speed[one]) and not np.isnan(speed[other]):
        fastest = min(fastest, _SPARE * max(speed[one], speed[other]) + _SPARE_KMH)
    return bool(km * 3600e6 > fastest * (elapsed_us + _ONE_SECOND_US))


@scalar
def _return(ts: Any, lat: Any, lon: Any, speed: Any, anchor: int, away: int) -> int:
    """The first position after an excursion that began at `away`; -1 where nothing returns from there."""
    away_km = haversine_km(lat[anchor], lon[anchor], lat[away], lon[away])
    seen, last, at = 0, away, away + 1
    while at < len(ts) and (ts[at] - ts[anchor] <= _EXCURSION_US or seen < _EXCURSION_POSITIONS):
        if np.isnan(lat[at]):
            at += 1
            continue
        if not _impossible(ts, lat, lon, speed, anchor, at):
            near = 2 * haversine_km(lat[anchor], lon[anchor], lat[at], lon[at]) < away_km
            if near or _impossible(ts, lat, lon, speed, last, at):
                return at
        seen += 1
        last = at
        at += 1
    return -1


@scalar
def _confirmed(ts: Any, lat: Any, lon: Any, speed: Any, at: int) -> bool:
    """Whether the next position can be reached from this one."""
    after = _next(lat, at)
    return after >= 0 and not _impossible(ts, lat, lon, speed, at, after)


@scalar
def _next(lat: Any, at: int) -> int:
    for later in range(at + 1, len(lat)):
        if not np.isnan(lat[later]):
            return later
    return -1


@scalar
def _stands(kmh: float) -> bool:
    return kmh <= _STANDING_KMH
