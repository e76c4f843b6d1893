"""What happens within or between trips and lasts: stops, idling, harsh changes of speed, changes of the fuel level."""

from typing import Any, NamedTuple

import numpy as np

from lake.derive.motion.compiling import helper, scalar
from lake.derive.motion.intervals import MOVING, NOT_KNOWN, STANDING, Intervals
from lake.derive.motion.moments import Moments
from lake.derive.motion.readings import ON
from lake.derive.motion.rules import Limits
from lake.derive.motion.stillness import STILL_KM
from lake.derive.motion.trips import DayBounds, end_of_trip, is_trip, measure_trip

STOP, IDLE, HARSH_BRAKING, HARSH_ACCELERATION, REFUEL, FUEL_DROP = 0, 1, 2, 3, 4, 5
KINDS: tuple[str, ...] = ("stop", "idle", "harsh_braking", "harsh_acceleration", "refuel", "fuel_drop")
"""Names of the kinds above, by number."""

IDLE_LEAST_US = 120_000_000
"""Shorter is a traffic light."""
HARSH_KMH_PER_S = 11.3
"""7 mph a second (0.32 g): from here on usage-based insurance counts a hard brake (Progressive's Snapshot); triggers of
naturalistic driving studies lie between 0.3 and 0.6 g."""
_CLOSE_US = 3_000_000
"""Speeds farther apart do not tell how hard it was."""
REFUEL_PCT, DROP_PCT = 10.0, 10.0
"""Points of the tank. A float moves by several in a curve or on a slope: the median of some readings is compared."""
_LEVELS = 5
_LEVELS_US = 1_800_000_000
"""How many readings, and how old, make a level."""
_AWAY_KM = 4 * STILL_KM


class Episode(NamedTuple):
    """From one moment to another; `ended` unless it lasted when the day's view ended. place: the moment whose position
    is where it begins, -1 where none is known. value: km/h a second at the
    peak, points of the tank, or NaN. fuel_l: burnt meanwhile."""

    kind: int
    first: int
    last: int
    ended: bool
    place: int
    value: float
    fuel_l: float


@helper
def find_episodes(moments: Moments, between: Intervals, day: DayBounds, limits: Limits) -> list[Episode]:
    """The episodes that begin in the business day, by kind and time."""
    found = []
    for stop in find_stops(moments, between, limits):
        found.append(stop)
    for idle in find_idling(moments, between):
        found.append(idle)
    for harsh in find_harsh(moments, between):
        found.append(harsh)
    for level in find_levels(moments, between):
        found.append(level)
    own = []
    for one in found:
        if day.midnight <= moments.ts[one.first] < day.next_midnight:
            place = _place(between.placed, one.first, one.last)
            own.append(Episode(one.kind, one.first, one.last, one.ended, place, one.value, one.fuel_l))
    return own


@scalar
def _place(placed: Any, first: int, last: int) -> int:
    """The first position of the episode, else the newest before it."""
    for at in range(first, last + 1):
        if placed[at]:
            return at
    for at in range(first, -1, -1):
        if placed[at]:
            return at
    return -1


@helper
def find_stops(moments: Moments, between: Intervals, limits: Limits) -> list[Episode]:
    """From the end of each trip to the start of the next. Motion that is no trip does not end a stop; silence in which
    the device came away does, where it begins.
    """
    stops = []
    ts, at, since = moments.ts, 0, -1
    while at < len(ts) - 1:
        if between.state[at] == MOVING:
            end = end_of_trip(ts, between.state, at, limits)
            if at == 0 or is_trip(measure_trip(moments, between, at, end), limits):
                if since >= 0:
                    stops.append(_stop(between, since, at, True))
                since = end
            at = end
        elif between.state[at] == NOT_KNOWN and between.step_km[at] > _AWAY_KM:
            if since >= 0:
                stops.append(_stop(between, since, at, True))
            since = -1
            at += 1
        else:
            at += 1
    if since >= 0:
        stops.append(_stop(between, since, len(ts) - 1, False))
    return [stop for stop in stops if ts[stop.last] - ts[stop.first] >= limits.stop_us]


@scalar
def _stop(between: Intervals, first: int, last: int, ended: bool) -> Episode:
    return Episode(STOP, first, last, ended, -1, np.nan, _burnt(between, first, last))


@helper
def find_idling(moments: Moments, between: Intervals) -> list[Episode]:
    """Standing with the engine on, for IDLE_LEAST_US and more."""
    episodes = []
    ts, at = moments.ts, 0
    while at < len(ts) - 1:
        last = at
        while last < len(ts) - 1 and between.state[last] == STANDING and between.engine[last] == ON:
            last += 1
        if last > at and ts[last] - ts[at] >= IDLE_LEAST_US:
            episodes.append(Episode(IDLE, at, last, last < len(ts) - 1, -1, np.nan, _burnt(between, at, last)))
        at = max(last, at + 1)
    return episodes


@helper
def find_harsh(moments: Moments, between: Intervals) -> list[Episode]:
    """Speed that changes by HARSH_KMH_PER_S and more between records seconds apart, in motion; one that changes back
    as harshly is a wrong reading. Steps of one direction in a row are one episode.
    """
    episodes = []
    ts, count = moments.ts, len(moments.ts)
    rate = np.full(count, np.nan)
    for at in range(count - 1):
        if ts[at + 1] - ts[at] <= _CLOSE_US:
            rate[at] = (moments.speed[at + 1] - moments.speed[at]) * 1e6 / (ts[at + 1] - ts[at])
    at = 0
    while at < count - 1:
        if not abs(rate[at]) >= HARSH_KMH_PER_S:
            at += 1
            continue
        last, peak, worst = at, rate[at], 0.0
        while last < count - 1 and abs(rate[last]) >= HARSH_KMH_PER_S and (rate[last] > 0) == (peak > 0):
            worst = max(worst, abs(rate[last]))
            last += 1
        undone = last < count - 1 and abs(rate[last]) >= HARSH_KMH_PER_S
        if undone:
            at = last + 1
            continue
        if between.state[at] == MOVING or between.state[last] == MOVING:
            kind = HARSH_ACCELERATION if peak > 0 else HARSH_BRAKING
            episodes.append(Episode(kind, at, last, True, -1, worst, np.nan))
        at = last
    return episodes


@helper
def find_levels(moments: Moments, between: Intervals) -> list[Episode]:
    """Where the fuel level before and after a time without motion differs: a refuel or a drop (theft or a leak)."""
    episodes = []
    ts, level = moments.ts, moments.fuel_level
    at, count = 0, len(ts)
    while at < count - 1:
        last = at
        while last < count - 1 and between.state[last] != MOVING:
            last += 1
        if last > at:
            change = _level(level, ts, last, 1) - _level(level, ts, at, -1)
            if change >= REFUEL_PCT:
                episodes.append(Episode(REFUEL, at, last, True, -1, change, np.nan))
            elif change <= -DROP_PCT:
                episodes.append(Episode(FUEL_DROP, at, last, True, -1, change, np.nan))
        at = max(last, at + 1)
    return episodes


@scalar
def _level(levels: Any, ts: Any, start: int, step: int) -> float:
    """Median (of an even number the lower) of the readings from one moment on in one direction; NaN without any."""
    end, count = start, 0
    while 0 <= end < len(ts) and count < _LEVELS and abs(ts[end] - ts[start]) <= _LEVELS_US:
        count += not np.isnan(levels[end])
        end += step
    for at in range(start, end, step):
        lower, equal = 0, 0
        for other in range(start, end, step):
            lower += levels[other] < levels[at]
            equal += levels[other] == levels[at]
        if equal and lower <= (count - 1) // 2 < lower + equal:
            return float(levels[at])
    return np.nan


@scalar
def _burnt(between: Intervals, first: int, last: int) -> float:
    fuel, known = 0.0, False
    for at in range(first, last):
        if not np.isnan(between.fuel[at]):
            fuel, known = fuel + between.fuel[at], True
    return fuel if known else np.nan
