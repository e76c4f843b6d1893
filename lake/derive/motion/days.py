"""Intervals become what a device did in a business day."""

from typing import NamedTuple

import numpy as np

from lake.derive.motion.compiling import scalar
from lake.derive.motion.intervals import MOVING, NOT_KNOWN, Intervals
from lake.derive.motion.moments import Moments
from lake.derive.motion.readings import ON, UNKNOWN

_LEAST_KM = 0.5
_UNIT = 100.0
"""An odometer that grows by more than a hundred times what positions measure counts metres."""


class DayTotals(NamedTuple):
    """Counts, microseconds, seconds, kilometres, km/h and litres of one business day; NaN where not known."""

    records: int
    flagged: int
    late: int
    first_ts: int
    last_ts: int
    engine_s: float
    moving_s: float
    idle_s: float
    off_s: float
    unknown_s: float
    distance_gps_km: float
    distance_odometer_km: float
    max_speed_kmh: float
    fuel_l: float


@scalar
def total_day(moments: Moments, between: Intervals, first: int, end: int) -> DayTotals:
    """The business day that has the moments from `first` to before `end`, at least one.

    Only what happened between two of them counts, so moving_s + idle_s + off_s + unknown_s is the time from the first
    to the last; growth of the odometer alone is counted to the next reading, also of another day, so that a device
    that reports each six hours keeps its kilometres. Standing with an engine of which nothing is known is off_s.
    """
    engine_s = moving_s = idle_s = off_s = unknown_s = fuel = gps_km = 0.0
    records = flagged = late = 0
    fastest, burnt = np.nan, False
    for at in range(first, end):
        records += moments.records[at]
        flagged += moments.flagged[at]
        late += moments.late[at]
        if moments.speed[at] > fastest or np.isnan(fastest):
            fastest = moments.speed[at]
        if between.placed[at] and between.step_to[at] < end:
            gps_km += between.counted_km[at]
        if at + 1 == end:
            break
        seconds, state, engine = (moments.ts[at + 1] - moments.ts[at]) / 1e6, between.state[at], between.engine[at]
        if state == NOT_KNOWN:
            unknown_s += seconds
        elif state == MOVING:
            moving_s += seconds
        elif engine == ON:
            idle_s += seconds
        else:
            off_s += seconds
        if engine == ON or (engine == UNKNOWN and state == MOVING):
            engine_s += seconds
        if not np.isnan(between.fuel[at]):
            fuel, burnt = fuel + between.fuel[at], True
    return DayTotals(
        records,
        flagged,
        late,
        moments.ts[first],
        moments.ts[end - 1],
        engine_s,
        moving_s,
        idle_s,
        off_s,
        unknown_s,
        gps_km,
        _odometer_km(between, first, end, gps_km),
        fastest,
        fuel if burnt else np.nan,
    )


@scalar
def _odometer_km(between: Intervals, first: int, end: int, gps_km: float) -> float:
    """Growth of the odometer from readings of the day; NaN where it has none, or where they are no kilometres."""
    km, readings, grown, refused = 0.0, 0, 0, 0
    for at in range(first, end):
        if between.counts[at] == 0:
            continue
        readings += 1
        if between.odometer_to[at] == 0:
            continue
        if np.isnan(between.odometer_km[at]):
            refused += 1
        elif between.odometer_km[at] > 0:
            km += between.odometer_km[at]
            grown += 1
    metres = gps_km > _LEAST_KM and km > _UNIT * gps_km
    return np.nan if readings == 0 or refused > grown or metres else km
