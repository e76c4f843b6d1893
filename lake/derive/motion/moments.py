"""A device's state at each of its moments: all records of one time together, and what still holds from before."""

from typing import Any, NamedTuple

import numpy as np

from lake.derive.motion.compiling import entry, helper
from lake.derive.motion.readings import UNKNOWN, Readings

SPEED_HOLDS_US = 120_000_000
"""How long a speed says something of moments that have none of their own."""
ENGINE_HOLDS_US = FUEL_HOLDS_US = 300_000_000
"""Likewise the engine's state and its fuel rate: a bus of control units is read more seldom than a receiver."""


class Moments(NamedTuple):
    """Arrays of one entry for each ts of one device, in order; NaN and UNKNOWN where nothing is known.

    ts in epoch microseconds, lat and lon in degrees, speed in km/h, odometer in km, fuel in l/h, fuel_level in percent
    of the tank: of the moment itself. records, flagged, late: rows of history with this ts.
    """

    ts: Any
    lat: Any
    lon: Any
    speed: Any
    odometer: Any
    engine: Any
    fuel: Any
    fuel_level: Any
    records: Any
    flagged: Any
    late: Any


class Held(NamedTuple):
    """What holds at each moment: its own reading, or the newest before it that is not older than its age limit."""

    speed: Any
    engine: Any
    fuel: Any


@entry
def merge_moments(rows: Readings) -> Moments:
    """One moment for each ts of a device's rows, which are in order; repeated rows count once.

    A receiver and a control unit often report one time in two messages: each reading of the moment is the first that
    a row of it has, in order of arrival.
    """
    count, last = 0, np.int64(0)
    for row in range(len(rows.ts)):
        if count == 0 or rows.ts[row] != last:
            count += 1
            last = rows.ts[row]
    ts = np.empty(count, np.int64)
    records, flagged, late = np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.int64)
    lat, lon = np.full(count, np.nan), np.full(count, np.nan)
    speed, odometer, fuel = np.full(count, np.nan), np.full(count, np.nan), np.full(count, np.nan)
    level, engine = np.full(count, np.nan), np.full(count, UNKNOWN, np.int8)
    at = -1
    for row in range(len(rows.ts)):
        if at < 0 or rows.ts[row] != ts[at]:
            at += 1
            ts[at] = rows.ts[row]
        if rows.again[row]:
            continue
        records[at] += 1
        flagged[at] += rows.flagged[row]
        late[at] += rows.late[row]
        if np.isnan(lat[at]):
            lat[at], lon[at] = rows.lat[row], rows.lon[row]
        if np.isnan(speed[at]):
            speed[at] = rows.speed[row]
        if np.isnan(odometer[at]):
            odometer[at] = rows.odometer[row]
        if np.isnan(fuel[at]):
            fuel[at] = rows.fuel[row]
        if np.isnan(level[at]):
            level[at] = rows.fuel_level[row]
        if engine[at] == UNKNOWN:
            engine[at] = rows.engine[row]
    return Moments(ts, lat, lon, speed, odometer, engine, fuel, level, records, flagged, late)


@helper
def hold(moments: Moments) -> Held:
    """Messages of alternating times make one state: a reading holds until the next of its kind, or for its age limit.

    Nothing holds from before the first of these moments.
    """
    return Held(
        _hold(moments.ts, moments.speed, SPEED_HOLDS_US),
        _hold_state(moments.ts, moments.engine, ENGINE_HOLDS_US),
        _hold(moments.ts, moments.fuel, FUEL_HOLDS_US),
    )


@helper
def _hold(ts: Any, values: Any, age_us: int) -> Any:
    held, newest = values.copy(), -1
    for at in range(len(ts)):
        if not np.isnan(values[at]):
            newest = at
        elif newest >= 0 and ts[at] - ts[newest] <= age_us:
            held[at] = values[newest]
    return held


@helper
def _hold_state(ts: Any, states: Any, age_us: int) -> Any:
    held, newest = states.copy(), -1
    for at in range(len(ts)):
        if states[at] != UNKNOWN:
            newest = at
        elif newest >= 0 and ts[at] - ts[newest] <= age_us:
            held[at] = states[newest]
    return held
