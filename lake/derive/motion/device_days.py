"""Rows of history become device days with their trips and episodes, as Arrow tables."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from contracts.columns import TIMESTAMP
from contracts.derived import DEVICE_DAY_SCHEMA, EPISODE_SCHEMA, FAULT_DAY_SCHEMA, TRIP_SCHEMA
from lake.derive.business_days import ONE_DAY, midnight, noon, overlapping
from lake.derive.motion.device_day import Derived, derive_device_day
from lake.derive.motion.episodes import KINDS, Episode
from lake.derive.motion.faults import SeenFault, of_day, seen_faults
from lake.derive.motion.moments import Moments, merge_moments
from lake.derive.motion.readings import Readings, device_starts, in_order, usable
from lake.derive.motion.rules import TripRules
from lake.derive.motion.trips import DayBounds, Trip

TRIPS, EPISODES, FAULTS = "trip_rows", "episode_rows", "fault_rows"
_OF_A_DAY = {TRIPS: TRIP_SCHEMA, EPISODES: EPISODE_SCHEMA, FAULTS: FAULT_DAY_SCHEMA}
MADE_SCHEMA: pa.Schema = pa.schema(
    [*DEVICE_DAY_SCHEMA, *(pa.field(name, pa.list_(pa.struct(list(of)))) for name, of in _OF_A_DAY.items())]
)
"""What a derivation makes: device days, each with the trips, episodes and fault days that belong to it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Row = dict[str, Any]
_ROUNDED = {"distance_km": 6, "distance_gps_km": 6, "distance_odometer_km": 6, "fuel_l": 6}
_SECONDS = ("engine_s", "moving_s", "idle_s", "off_s", "unknown_s")
_ROUNDED |= dict.fromkeys((*_SECONDS, "duration_s", "value"), 3)
"""Decimals kept: to the millimetre and the millisecond."""


class DeviceReadings(NamedTuple):
    """What a derivation knows of one device."""

    device_id: str
    moments: Moments
    faults: list[SeenFault]
    """By quarter of an hour, in any order."""


class Calendar:
    """Bounds of a region's business days, in order, as arrays of epoch microseconds."""

    def __init__(self, days: Sequence[date], rules: TripRules):
        zone = ZoneInfo(rules.time_zone)
        self.days = sorted(set(days))
        bounds = [
            (midnight(d, zone), midnight(d + ONE_DAY, zone), noon(d, zone), noon(d + ONE_DAY, zone)) for d in self.days
        ]
        self.bounds = [DayBounds(*(_micros(instant) for instant in of_day)) for of_day in bounds]
        self.midnights = np.array([day.midnight for day in self.bounds], np.int64)
        self.next_midnights = np.array([day.next_midnight for day in self.bounds], np.int64)
        self.next_noons = np.array([day.next_noon for day in self.bounds], np.int64)
        self.starts = self.midnights - rules.look_back_s * 1_000_000


def derive_table(rows: pa.Table, rules: TripRules, days: Sequence[date] | None = None) -> pa.Table:
    """Device days with their trips, in the columns of MADE_SCHEMA, of rows of history in any order. Pure.

    days: those to make, all that have a row if None. A day's rows depend on nothing but what lies from a gap and a
    stop before its midnight to the next noon.
    """
    ordered = in_order(rows)
    return derive_ordered(ordered, Calendar(days if days is not None else days_with_rows(ordered, rules), rules), rules)


def derive_ordered(rows: pa.Table, calendar: Calendar, rules: TripRules) -> pa.Table:
    """The same of rows in order: whole devices, one after the other."""
    return derive_devices(device_readings(rows), calendar, rules)


def derive_devices(devices: Iterable[DeviceReadings], calendar: Calendar, rules: TripRules) -> pa.Table:
    """The same of what is known of each device."""
    made: list[_Row] = []
    for device_id, moments, faults in devices:
        limits = rules.limits_of(device_id)
        for place, low, first, after, high in _slices(moments, calendar):
            around, bounds = Moments(*(column[low:high] for column in moments)), calendar.bounds[place]
            derived = derive_device_day(around, first - low, after - low, bounds, limits)
            row = _device_day(device_id, calendar.days[place], derived, around)
            row[FAULTS] = [_fault(device_id, calendar.days[place], fault) for fault in of_day(faults, bounds)]
            made.append(row)
    return pa.Table.from_pylist(made, schema=MADE_SCHEMA)


def device_readings(rows: pa.Table) -> Iterator[DeviceReadings]:
    """Each device of rows in order."""
    readings, starts = usable(rows), device_starts(rows)
    faults = seen_faults(rows, readings.again)
    for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        device_id = rows["device_id"][start].as_py()
        moments = merge_moments(Readings(*(column[start:end] for column in readings)))
        yield DeviceReadings(device_id, moments, faults.get(device_id, []))


def days_with_rows(rows: pa.Table, rules: TripRules) -> list[date]:
    """The business days that may have a row."""
    zone = ZoneInfo(rules.time_zone)
    stamps = rows["ts"].cast(TIMESTAMP).cast(pa.int64()).to_numpy()
    utc_days = np.unique(stamps // 86_400_000_000)
    return sorted({day for n in utc_days for day in overlapping((_EPOCH + timedelta(days=int(n))).date(), zone)})


def _slices(moments: Moments, calendar: Calendar) -> Iterator[tuple[int, int, int, int, int]]:
    """For each day that has a moment: its place, where what it depends on begins, it begins, it ends, and that ends."""
    ts = moments.ts
    first = np.searchsorted(ts, calendar.midnights)
    after = np.searchsorted(ts, calendar.next_midnights)
    low = np.searchsorted(ts, calendar.starts)
    high = np.searchsorted(ts, calendar.next_noons, side="right")
    for place in np.flatnonzero(after > first).tolist():
        yield place, int(low[place]), int(first[place]), int(after[place]), int(high[place])


def _device_day(device: str, day: date, derived: Derived, around: Moments) -> _Row:
    trips = [_trip(device, day, trip, around) for trip in derived.trips]
    episodes = [_episode(device, day, episode, around) for episode in derived.episodes]
    row: _Row = {"device_id": device, "day": day, **_rounded(derived.totals._asdict())}
    row |= {name: _instant(row[name]) for name in ("first_ts", "last_ts")}
    return row | {"trips": len(trips), TRIPS: trips, EPISODES: episodes}


def _trip(device: str, day: date, trip: Trip, around: Moments) -> _Row:
    start, end = int(around.ts[trip.first]), int(around.ts[trip.last])
    row = {"trip_id": f"{device}-{start // 1000}", "device_id": device, "day": day}
    row |= {"start_ts": _instant(start), "end_ts": _instant(end), "records": trip.last - trip.first + 1}
    for name, place in (("start", trip.first_place), ("end", trip.last_place)):
        row[f"{name}_lat"] = float(around.lat[place]) if place >= 0 else None
        row[f"{name}_lon"] = float(around.lon[place]) if place >= 0 else None
    numbers = ("distance_km", "moving_s", "idle_s", "max_speed_kmh", "fuel_l")
    row |= _rounded({name: getattr(trip, name) for name in numbers})
    row["distance_km"] = row["distance_km"] or 0.0
    return row


def _episode(device: str, day: date, episode: Episode, around: Moments) -> _Row:
    start, end, kind = int(around.ts[episode.first]), int(around.ts[episode.last]), KINDS[episode.kind]
    row = {"episode_id": f"{device}-{kind}-{start // 1000}", "device_id": device, "day": day, "kind": kind}
    row |= {"start_ts": _instant(start), "end_ts": _instant(end), "ended": episode.ended}
    row |= {"lat": around.lat[episode.place], "lon": around.lon[episode.place]} if episode.place >= 0 else {}
    seconds = (end - start) / 1e6
    return row | _rounded({"duration_s": seconds, "fuel_l": episode.fuel_l, "value": episode.value})


def _fault(device: str, day: date, fault: SeenFault) -> _Row:
    row = {"device_id": device, "day": day, **fault._asdict()}
    return row | {name: _instant(row[name]) for name in ("first_ts", "last_ts")}


def _rounded(values: dict[str, Any]) -> _Row:
    return {
        name: None if value != value else round(value, _ROUNDED[name]) if name in _ROUNDED else value  # noqa: PLR0124
        for name, value in values.items()
    }


def _micros(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _instant(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=int(micros))
