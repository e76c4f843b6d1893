"""Intervals become trips."""

from typing import Any, NamedTuple

import numpy as np

from lake.derive.motion.compiling import helper, scalar
from lake.derive.motion.intervals import MOVING, Intervals
from lake.derive.motion.moments import Moments
from lake.derive.motion.outliers import FASTEST_KMH, JUMP_KM
from lake.derive.motion.readings import OFF
from lake.derive.motion.rules import Limits

_COARSE_KM = 20.0
"""An odometer in whole kilometres says how long a trip is from here on."""
_LEAST_SHARE, _MOST_SHARE, _SLACK_KM = 0.9, 3.0, 0.2
"""An odometer is believed between these shares of what positions measure: roads are longer than the lines between
positions, never shorter. Metres or miles are outside, the first by far."""
_COVERED = 0.9


class DayBounds(NamedTuple):
    """Epoch microseconds of a business day: its midnight, the next, its noon and that of the next day."""

    midnight: int
    next_midnight: int
    noon: int
    next_noon: int


class Piece(NamedTuple):
    """First and last moment of a trip or of the part that a cut at noon made; whether it continues one."""

    first: int
    last: int
    continues: bool


class Trip(NamedTuple):
    """A trip between two moments. Kilometres, seconds, km/h, litres; NaN where not known."""

    first: int
    last: int
    distance_km: float
    moving_s: float
    idle_s: float
    max_speed_kmh: float
    fuel_l: float
    first_place: int
    last_place: int


@helper
def cut_trips(moments: Moments, between: Intervals, day: DayBounds, limits: Limits) -> list[Piece]:
    """The trips of the business day, in order.

    A trip runs from the start of its first interval in motion to the end of its last. It ends after limits.stop_us
    without movement or limits.gap_us without a record. It belongs to the day it starts in; one that goes on past noon
    of the day after its start is cut there, and again each noon: the interval that contains noon begins the next
    piece, which belongs to that noon's day. At a cut, both pieces have the moment between them.
    """
    ts = moments.ts
    found = []
    at = 0
    while at < len(ts) - 1:
        if between.state[at] != MOVING:
            at += 1
            continue
        end = end_of_trip(ts, between.state, at, limits)
        began = ts[at]
        if began < day.next_midnight:
            continues = began < day.midnight
            first = _first_moving(ts, between.state, at, end, day.noon if continues else began)
            last = _last_moving(ts, between.state, first, end, day.next_noon)
            if last > first:
                found.append(Piece(first, last, continues))
        at = end
    return found


@scalar
def end_of_trip(ts: Any, state: Any, start: int, limits: Limits) -> int:
    """The moment at which the trip that starts at `start` ends."""
    end, at = start + 1, start + 1
    while at < len(ts) - 1:
        if ts[at + 1] - ts[at] > limits.gap_us or ts[at] - ts[end] >= limits.stop_us:
            break
        if state[at] == MOVING:
            end = at + 1
        at += 1
    return end


@scalar
def _first_moving(ts: Any, state: Any, start: int, end: int, after: int) -> int:
    """The first interval in motion from `start` on that ends after this time; `end` if there is none."""
    at = start
    while at < end and (state[at] != MOVING or ts[at + 1] <= after):
        at += 1
    return at


@scalar
def _last_moving(ts: Any, state: Any, start: int, end: int, until: int) -> int:
    """The end of the last interval in motion that ends by this time; `start` if there is none."""
    last = start
    for at in range(start, end):
        if state[at] == MOVING and ts[at + 1] <= until:
            last = at + 1
    return last


@scalar
def measure_trip(moments: Moments, between: Intervals, first: int, last: int) -> Trip:
    """What is counted between two moments; idle_s is standing with the engine on or unknown."""
    ts, moving_s, idle_s, km, fuel, burnt = moments.ts, 0.0, 0.0, 0.0, 0.0, False
    fastest, first_place, last_place = np.nan, -1, -1
    for at in range(first, last + 1):
        if moments.speed[at] > fastest or np.isnan(fastest):
            fastest = moments.speed[at]
        if between.placed[at]:
            first_place = at if first_place < 0 else first_place
            last_place = at
        if at == last:
            break
        seconds = (ts[at + 1] - ts[at]) / 1e6
        if between.state[at] == MOVING:
            moving_s += seconds
        elif between.engine[at] != OFF:
            idle_s += seconds
        if between.placed[at] and between.step_to[at] <= last:
            km += between.counted_km[at]
        if not np.isnan(between.fuel[at]):
            fuel, burnt = fuel + between.fuel[at], True
    counted = _odometer_km(moments, between, first, last)
    if _plausible(counted, km, first_place != last_place, (ts[last] - ts[first]) / 1e6):
        km = counted
    elif first_place == last_place:
        km = np.nan
    return Trip(first, last, km, moving_s, idle_s, fastest, fuel if burnt else np.nan, first_place, last_place)


@scalar
def is_trip(trip: Trip, limits: Limits) -> bool:
    """Whether it is long enough; where nothing measured its length, whether it moved for long enough."""
    if np.isnan(trip.distance_km):
        return trip.moving_s >= limits.least_s
    return trip.distance_km >= limits.least_km


@scalar
def _odometer_km(moments: Moments, between: Intervals, first: int, last: int) -> float:
    """Growth of the odometer between two moments; NaN where it does not cover them, began anew or is too coarse."""
    km, start, end, whole = 0.0, -1, -1, True
    for at in range(first, last + 1):
        if between.counts[at] == 0:
            continue
        whole = whole and moments.odometer[at] == np.floor(moments.odometer[at])
        if start < 0:
            start = at
        elif between.counts[at] != 1:
            return np.nan
        else:
            km += between.odometer_km[end]
        end = at
    covered = start >= 0 and moments.ts[end] - moments.ts[start] >= _COVERED * (moments.ts[last] - moments.ts[first])
    return km if covered and (not whole or km >= _COARSE_KM) else np.nan


@scalar
def _plausible(counted_km: float, measured_km: float, measured: bool, seconds: float) -> bool:
    if np.isnan(counted_km):
        return False
    if not measured:
        return counted_km <= FASTEST_KMH * seconds / 3600 + JUMP_KM
    return _LEAST_SHARE * measured_km - _SLACK_KM <= counted_km <= _MOST_SHARE * measured_km + _SLACK_KM
