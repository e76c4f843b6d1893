"""What a device did between each moment and the next."""

from typing import Any, NamedTuple

import numpy as np

from lake.derive.motion.compiling import helper, scalar
from lake.derive.motion.geometry import haversine_km
from lake.derive.motion.moments import Held, Moments, hold
from lake.derive.motion.outliers import follows, is_jump, keep_odometer, keep_positions
from lake.derive.motion.readings import UNKNOWN
from lake.derive.motion.rules import Limits
from lake.derive.motion.stillness import STILL_KM, is_still, shift

STANDING, MOVING, NOT_KNOWN = 0, 1, 2
"""States of an interval."""

_SPEED_TELLS_US = 60_000_000
"""For so long the speed at an interval's start says what it is; beyond, positions say it better."""
_LONG_US = 300_000_000
"""From here on a device may have slept: an interval needs evidence from both of its ends."""
_BRISK_KMH = 10.0
"""A device that came this far in a long interval did not stand for most of it."""
_RELEASE = 0.5
"""Hysteresis: what moves goes on moving down to this share of the speed at which it began."""
_FAR_KM = 2 * STILL_KM
"""A step longer than this is no noise."""
_STUCK_KM = 2.0
"""Where positions spread this far and no speed ever says so, the speeds are not the device's."""


class Intervals(NamedTuple):
    """Entry i is about the time from moment i to moment i + 1; the last entry says nothing.

    state: STANDING, MOVING or NOT_KNOWN. engine: ON, OFF or UNKNOWN. fuel: l, NaN where the rate is not known.
    step_km: from moment i's position to the next moment with one, which is moment step_to; NaN where moment i has no
    position that may be used. counted_km is the part of it that is distance. odometer_km: likewise, the growth to
    moment odometer_to; NaN where the reading that follows does not go on from this one.
    """

    state: Any
    engine: Any
    fuel: Any
    placed: Any
    step_km: Any
    counted_km: Any
    step_to: Any
    counts: Any
    odometer_km: Any
    odometer_to: Any


@helper
def to_intervals(moments: Moments, limits: Limits) -> Intervals:
    """The state of each interval, its fuel, and the distances between readings. Pure; the moments' order is of ts."""
    ts, lat, lon = moments.ts, moments.lat, moments.lon
    placed = keep_positions(ts, lat, lon, moments.speed)
    places = np.flatnonzero(placed)
    held = hold(moments)
    state = _states(moments, held, places, limits)
    engine = _engines(moments, held, state)
    fuel = _fuel(moments, held, state)
    step_km, counted_km, step_to = _steps(ts, lat, lon, places, state, limits)
    counts = keep_odometer(ts, moments.odometer)
    odometer_km, odometer_to = _odometer_steps(ts, moments.odometer, counts)
    return Intervals(state, engine, fuel, placed, step_km, counted_km, step_to, counts, odometer_km, odometer_to)


@helper
def _states(moments: Moments, held: Held, places: Any, limits: Limits) -> Any:
    """Motion, by the rules of `_by_speed`, `_by_positions` and `_over_long`.

    An interval longer than limits.gap_us is not known. A short one is what the speed at its start says, unless the
    positions around it contradict; one without a speed, or longer than _SPEED_TELLS_US, is what the positions around
    it say, also where records without a position lie between (a tunnel); one longer than _LONG_US needs both ends.
    Where nothing else is known a held speed counts.
    """
    ts, count = moments.ts, len(moments.ts)
    state = np.full(count, NOT_KNOWN, np.int8)
    trusted = not _stuck(moments, places, limits)
    before, moved = -1, False
    for at in range(count - 1):
        while before + 1 < len(places) and places[before + 1] <= at:
            before += 1
        elapsed_us = ts[at + 1] - ts[at]
        if elapsed_us > limits.gap_us:
            moved = False
            continue
        stepped = 0 <= before < len(places) - 1 and ts[places[before + 1]] - ts[places[before]] <= limits.gap_us
        kmh = moments.speed[at] if trusted else np.nan
        close = stepped and ts[places[before + 1]] - ts[places[before]] <= _LONG_US
        if elapsed_us > _LONG_US:
            state[at] = _over_long(moments, held, places, before, stepped, at, limits)
        elif not np.isnan(kmh) and (elapsed_us <= _SPEED_TELLS_US or not close):
            state[at] = _by_speed(moments, places, before, close, kmh, moved, limits)
        elif stepped:
            state[at] = _by_positions(moments, places, before, limits)
        elif trusted and not np.isnan(held.speed[at]):
            state[at] = MOVING if held.speed[at] > limits.moving_kmh else STANDING
        else:
            state[at] = STANDING
        moved = state[at] == MOVING
    return state


@scalar
def _by_speed(moments: Moments, places: Any, before: int, close: bool, kmh: float, moved: bool, limits: Limits) -> int:
    """Moving above the speed limit, or above its half if it was moving before, unless the positions stand still: they
    stay in one place and come less than half as far as the speed says. Standing below, unless the step is too long
    for noise. Only positions that lie close in time contradict.
    """
    ts, lat, lon = moments.ts, moments.lat, moments.lon
    if kmh > limits.moving_kmh * (_RELEASE if moved else 1.0):
        if not close:
            return MOVING
        km, seconds = shift(ts, lat, lon, places, before)
        claimed_km = kmh * seconds / 3600
        return STANDING if 2 * km < claimed_km and is_still(ts, lat, lon, places, before) else MOVING
    if close:
        km, elapsed_us = _step(ts, lat, lon, places, before)
        if km > _FAR_KM and km * 3600e6 > limits.moving_kmh * elapsed_us and not is_jump(km, elapsed_us):
            return MOVING
    return STANDING


@scalar
def _by_positions(moments: Moments, places: Any, before: int, limits: Limits) -> int:
    """Moving where the means of the positions before and after lie farther apart than one place is wide, at a pace
    above the limit. A step that is itself so long needs no means. A jump is no motion.
    """
    ts, lat, lon = moments.ts, moments.lat, moments.lon
    km, elapsed_us = _step(ts, lat, lon, places, before)
    if km > STILL_KM:
        return MOVING if km * 3600e6 > limits.moving_kmh * elapsed_us and not is_jump(km, elapsed_us) else STANDING
    km, seconds = shift(ts, lat, lon, places, before)
    return MOVING if km > STILL_KM and km * 3600 > limits.moving_kmh * seconds else STANDING


@scalar
def _over_long(moments: Moments, held: Held, places: Any, before: int, stepped: bool, at: int, limits: Limits) -> int:
    """An interval in which the device may have slept. Moving where it came on briskly, or came on while both ends are
    in motion; not known where it came on otherwise or nothing says whether it did; else standing.
    """
    if not stepped:
        return NOT_KNOWN
    km, elapsed_us = _step(moments.ts, moments.lat, moments.lon, places, before)
    if is_jump(km, elapsed_us):
        return NOT_KNOWN
    pace = km * 3600e6 / elapsed_us
    in_motion = held.speed[at] > limits.moving_kmh and moments.speed[at + 1] > limits.moving_kmh
    if km > STILL_KM and (pace > _BRISK_KMH or (in_motion and pace > limits.moving_kmh)):
        return MOVING
    return NOT_KNOWN if km > _FAR_KM else STANDING


@scalar
def _stuck(moments: Moments, places: Any, limits: Limits) -> bool:
    """Whether the speeds never say motion while the positions spread over kilometres."""
    for at in range(len(moments.ts)):
        if moments.speed[at] > limits.moving_kmh:
            return False
    lat, lon = moments.lat, moments.lon
    for at in range(1, len(places)):
        if haversine_km(lat[places[0]], lon[places[0]], lat[places[at]], lon[places[at]]) > _STUCK_KM:
            return True
    return False


@helper
def _engines(moments: Moments, held: Held, state: Any) -> Any:
    """The engine over each interval, as held at its start; over a long one only if the moment at its end agrees.

    A long interval of which neither motion nor the engine is known is not known (changes `state`).
    """
    engine = np.full(len(moments.ts), UNKNOWN, np.int8)
    for at in range(len(moments.ts) - 1):
        long = moments.ts[at + 1] - moments.ts[at] > _LONG_US
        if state[at] != NOT_KNOWN and (not long or held.engine[at] == moments.engine[at + 1]):
            engine[at] = held.engine[at]
        if long and state[at] == STANDING and engine[at] == UNKNOWN:
            state[at] = NOT_KNOWN
    return engine


@helper
def _fuel(moments: Moments, held: Held, state: Any) -> Any:
    """Litres by the rate held at the start; not over intervals of which nothing is known."""
    fuel = np.full(len(moments.ts), np.nan)
    for at in range(len(moments.ts) - 1):
        if state[at] != NOT_KNOWN:
            fuel[at] = held.fuel[at] * (moments.ts[at + 1] - moments.ts[at]) / 3600e6
    return fuel


@helper
def _steps(ts: Any, lat: Any, lon: Any, places: Any, state: Any, limits: Limits) -> tuple[Any, Any, Any]:
    """Steps between kept positions. Distance is a step in which the device moved, in which it moved off (it moves from
    the step's end on), or that is too long for noise.
    """
    step_km, counted_km = np.full(len(ts), np.nan), np.zeros(len(ts))
    step_to = np.zeros(len(ts), np.int64)
    for before in range(len(places) - 1):
        here, there = places[before], places[before + 1]
        km, elapsed_us = _step(ts, lat, lon, places, before)
        step_km[here], step_to[here] = km, there
        moved = km > _FAR_KM or (elapsed_us <= _LONG_US and state[there] == MOVING)
        for at in range(here, there):
            moved = moved or state[at] == MOVING
        if moved and not is_jump(km, elapsed_us):
            counted_km[here] = km
    return step_km, counted_km, step_to


@helper
def _odometer_steps(ts: Any, odometer: Any, counts: Any) -> tuple[Any, Any]:
    """Growth from each kept reading to the next kept one; none to a reading at which the counter began anew."""
    growth, to = np.full(len(ts), np.nan), np.zeros(len(ts), np.int64)
    newest = -1
    for at in range(len(ts)):
        if counts[at] == 0:
            continue
        if newest >= 0:
            to[newest] = at
            if counts[at] == 1 and follows(ts, odometer, newest, at):
                growth[newest] = odometer[at] - odometer[newest]
        newest = at
    return growth, to


@scalar
def _step(ts: Any, lat: Any, lon: Any, places: Any, before: int) -> tuple[float, int]:
    here, there = places[before], places[before + 1]
    return haversine_km(lat[here], lon[here], lat[there], lon[there]), ts[there] - ts[here]
