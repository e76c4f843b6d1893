"""One vehicle's day: its trips cut into runs between stops, its engine's spans, and the moments it reports at."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from devices.fleet.calendar import Calendar
from devices.fleet.kinds import Route
from devices.fleet.noise import Floats, Moments, generator, uniform
from devices.fleet.road import Road, lay_road
from devices.fleet.roster import Vehicle

DAY_S = 86_400.0
LATEST_END_S = 23.6 * 3600
SHORTEST_STAY_S = 400.0
"""Between two trips; longer than the 300 s after which a trip ends."""
IDLE_REPORT_S = 60.0
HEARTBEAT_S = 1800.0
KEEPS_RUNNING_S = 240.0
"""An engine that will be needed within this time is not switched off."""


@dataclass(frozen=True, slots=True)
class Day:
    """A plan of one day in seconds from its start (local midnight). Each group's arrays have one entry a run,
    a trip or an engine span; a run is the way between two stops."""

    day: date
    start_ms: int
    road: Road
    km: float
    odometer_km: float
    since_refuel_km: float
    left_over_km: float
    run_start_s: Floats
    run_s: Floats
    run_ramp_s: Floats
    run_mps: Floats
    """Speed between the two ramps."""
    run_from_km: Floats
    """Driven on the day before the run."""
    trip_start_s: Floats
    trip_end_s: Floats
    engine_on_s: Floats
    engine_off_s: Floats
    reports_ms: Moments
    """Epoch milliseconds of its records, ascending."""
    fault: str | None
    fault_from_s: float


def plan_day(vehicle: Vehicle, calendar: Calendar, day: date, zone: ZoneInfo) -> Day:
    """The plan of one business day; it depends on vehicle and day alone."""
    rng = generator(vehicle.key, "day", day.toordinal())
    place = calendar.place(day)
    start_ms, length_s = _bounds(day, zone)
    trips = _trip_lengths(vehicle, float(calendar.day_km[place]), rng)
    fixed = vehicle.kind.route is not Route.TOUR
    road = lay_road(vehicle, _far_end_km(vehicle, trips), generator(vehicle.key, "road") if fixed else rng)
    runs = [_runs(vehicle, km, rng) for km in trips]
    starts_s = _trip_starts(vehicle, [float(run[0][-1] + run[1][-1]) for run in runs], rng)
    run_start, run_s, ramp_s, mps, metres = _on_one_clock(runs, starts_s)
    trip_start = np.array(starts_s)
    trip_end = np.array([start + run[0][-1] + run[1][-1] for start, run in zip(starts_s, runs, strict=True)])
    on_s, off_s = _engine(trip_start, trip_end, rng)
    faults = vehicle.kind.faults
    fault = faults[int(rng.integers(len(faults)))] if rng.random() < 0.05 else None  # noqa: PLR2004
    return Day(
        day=day,
        start_ms=start_ms,
        road=road,
        km=float(calendar.day_km[place]),
        odometer_km=float(calendar.odometer_km[place]),
        since_refuel_km=float(calendar.since_refuel_km[place]),
        left_over_km=float(calendar.left_over_km[place]),
        run_start_s=run_start,
        run_s=run_s,
        run_ramp_s=ramp_s,
        run_mps=mps,
        run_from_km=np.concatenate([[0.0], np.cumsum(metres) / 1000])[:-1],
        trip_start_s=trip_start,
        trip_end_s=trip_end,
        engine_on_s=on_s,
        engine_off_s=off_s,
        reports_ms=_reports(vehicle, start_ms, length_s, trip_start, trip_end, on_s, off_s),
        fault=fault,
        fault_from_s=rng.uniform(0.25, 0.75) * DAY_S,
    )


def _bounds(day: date, zone: ZoneInfo) -> tuple[int, float]:
    """Epoch milliseconds of local midnight, and how many seconds the day has."""
    starts = [datetime(at.year, at.month, at.day, tzinfo=zone).timestamp() for at in (day, day + timedelta(days=1))]
    return int(starts[0] * 1000), starts[1] - starts[0]


def _trip_lengths(vehicle: Vehicle, day_km: float, rng: np.random.Generator) -> list[float]:
    """Kilometres of each trip. Those of a tour are the same backward: it turns where a trip ends."""
    if day_km <= 0:
        return []
    if vehicle.kind.route is not Route.TOUR:
        return [day_km / vehicle.trips] * vehicle.trips
    share = rng.uniform(0.5, 1.5, vehicle.trips // 2)
    out = day_km / 2 * share / share.sum()
    return [*out.tolist(), *out[::-1].tolist()]


def _far_end_km(vehicle: Vehicle, trips: list[float]) -> float:
    if vehicle.kind.route in (Route.LINE, Route.SITE):
        return vehicle.line_km
    if not trips:
        return 1.0
    return trips[0] if vehicle.kind.route is Route.COMMUTE else sum(trips) / 2


def _runs(vehicle: Vehicle, km: float, rng: np.random.Generator) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """A trip's runs: start (s from the trip's), duration, ramp (s), speed between the ramps (m/s), metres."""
    kind = vehicle.kind
    if kind.route is Route.SITE:
        metres = np.full(round(km / vehicle.line_km), vehicle.line_km * 1000)
    else:
        pieces = max(1, round(km * kind.stops_per_km * rng.uniform(0.7, 1.3)))
        share = rng.uniform(0.4, 1.6, pieces)
        metres = km * 1000 * share / share.sum()
    count = len(metres)
    # Too short a run does not reach its speed: it brakes where it would have.
    mps = np.minimum(rng.uniform(*kind.speed_kmh, count) / 3.6, np.sqrt(metres * kind.acceleration_mps2))
    ramp_s = mps / kind.acceleration_mps2
    run_s = metres / mps + ramp_s
    stops_s = rng.uniform(*kind.stop_s, count)
    start_s = np.concatenate([[0.0], np.cumsum(run_s + stops_s)])[:-1]
    return start_s, run_s, ramp_s, mps, metres


def _trip_starts(vehicle: Vehicle, trip_s: list[float], rng: np.random.Generator) -> list[float]:
    """When each trip starts, stays between them filling the shift; the last one ends on the same day."""
    if not trip_s:
        return []
    driving_s = sum(trip_s)
    shift_s = rng.uniform(*vehicle.kind.shift_h) * 3600
    share = rng.uniform(0.3, 1.7, max(1, len(trip_s) - 1))
    spare_s = max(0.0, shift_s - driving_s - SHORTEST_STAY_S * (len(trip_s) - 1))
    stays = (SHORTEST_STAY_S + spare_s * share / share.sum()).tolist()
    total_s = driving_s + sum(stays[: len(trip_s) - 1])
    at_s = min(vehicle.start_h * 3600 + rng.uniform(-900, 900), max(60.0, LATEST_END_S - total_s))
    starts = []
    for index, length_s in enumerate(trip_s):
        starts.append(at_s)
        at_s += length_s + stays[min(index, len(stays) - 1)]
    return starts


def _on_one_clock(
    runs: list[tuple[Floats, Floats, Floats, Floats, Floats]], starts_s: list[float]
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    if not runs:
        empty = np.empty(0)
        return empty, empty, empty, empty, empty
    start = np.concatenate([run[0] + begin for run, begin in zip(runs, starts_s, strict=True)])
    duration, ramp, mps, metres = (np.concatenate([run[part] for run in runs]) for part in range(1, 5))
    return start, duration, ramp, mps, metres


def _engine(trip_start: Floats, trip_end: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Spans with the engine on: a little before a trip, a little after it, at times a long idling."""
    if not len(trip_start):
        return trip_start, trip_end
    count = len(trip_start)
    after = np.where(rng.random(count) < 0.25, rng.uniform(60, 330, count), rng.uniform(4, 40, count))  # noqa: PLR2004
    on_s, off_s = trip_start - rng.uniform(8, 40, count), trip_end + after
    parted = np.flatnonzero(on_s[1:] - off_s[:-1] > KEEPS_RUNNING_S)
    return on_s[np.concatenate([[0], parted + 1])], off_s[np.concatenate([parted, [count - 1]])]


def _reports(
    vehicle: Vehicle,
    start_ms: int,
    length_s: float,
    trip_start: Floats,
    trip_end: Floats,
    on_s: Floats,
    off_s: Floats,
) -> Moments:
    """Every interval in motion, every minute idling, every half hour with the engine off, and at each change."""
    phase_s = float(uniform(vehicle.key, "phase", np.array([0]))[0]) * HEARTBEAT_S
    moments = [np.arange(phase_s, length_s, HEARTBEAT_S), on_s, off_s]
    # Heartbeats give way to what a running engine reports.
    if len(on_s):
        after = np.searchsorted(on_s, moments[0], side="right") - 1
        running = (after >= 0) & (moments[0] < off_s[np.maximum(after, 0)] + IDLE_REPORT_S)
        moments[0] = moments[0][~running]
    for on, off in zip(on_s, off_s, strict=True):
        idle = np.arange(on + IDLE_REPORT_S, off, IDLE_REPORT_S)
        trip = np.searchsorted(trip_start, idle, side="right") - 1
        moments.append(idle[(trip < 0) | (idle > trip_end[np.maximum(trip, 0)] + IDLE_REPORT_S / 2)])
    for start, end in zip(trip_start, trip_end, strict=True):
        moments += [np.arange(start, end, vehicle.interval_s), np.array([end])]
    seconds = np.concatenate(moments)
    seconds = seconds[(seconds >= 0) & (seconds < length_s - 1)]
    ms = start_ms + np.floor(seconds * 1000).astype(np.int64)
    return np.unique(ms + np.floor(uniform(vehicle.key, "late", ms) * 250).astype(np.int64))
