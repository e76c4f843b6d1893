"""What a vehicle's sensors say at given moments of its day."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from devices.fleet.calendar import FULL_PCT
from devices.fleet.day import Day
from devices.fleet.kinds import Route
from devices.fleet.noise import Floats, Moments, around_zero
from devices.fleet.road import height_m
from devices.fleet.roster import KM_PER_DEG, Vehicle

GPS_NOISE_M = 0.8
WARM_C, AMBIENT_C = 88.0, 14.0
WARMS_IN_S, COOLS_IN_S = 300.0, 4200.0
GEAR_UP_KMH = np.array([14.0, 28.0, 46.0, 70.0, 95.0])
RPM_PER_KMH = np.array([125.0, 78.0, 52.0, 38.0, 29.0, 24.0])
IDLE_RPM, IDLE_LOAD_PCT = 790.0, 19.0
SITE_RPM = 1650.0
MOST_IDLE = 0.6
"""Share of a day's fuel that its engine hours may take; the rest is for its kilometres."""


@dataclass(frozen=True, slots=True)
class Readings:
    """One entry a moment; units as in the record contract. A battery vehicle has no rpm, coolant or fuel."""

    lat: Floats
    lon: Floats
    altitude_m: Floats
    speed_kmh: Floats
    heading_deg: Floats
    odometer_km: Floats
    engine_on: NDArray[np.bool_]
    moving: NDArray[np.bool_]
    engine_rpm: Floats
    engine_load_pct: Floats
    coolant_c: Floats
    energy_pct: Floats
    """Tank or battery."""
    fuel_rate_lph: Floats


def read(vehicle: Vehicle, day: Day, moments: Moments) -> Readings:
    """The readings at these moments (epoch milliseconds within the day)."""
    at_s = (moments - day.start_ms) / 1000.0
    moved, engine = _motion(day, at_s), _engine_at(day, at_s)
    driven_km, mps, engine_on = moved.km, moved.mps, engine.on
    level_pct, rate_lph = _fuel(vehicle, day, at_s, moved, engine)
    moving = mps > 0.3  # noqa: PLR2004
    lat, lon, course = day.road.at(driven_km)
    scatter = np.where(moving, GPS_NOISE_M / 1000 / KM_PER_DEG, 0.0)
    speed: Floats = np.where(moving, np.maximum(0.4, mps * 3.6 + 0.5 * around_zero(vehicle.key, "speed", moments)), 0.0)
    return Readings(
        lat=np.round(lat + scatter * around_zero(vehicle.key, "lat", moments), 6),
        lon=np.round(lon + scatter * around_zero(vehicle.key, "lon", moments), 6),
        altitude_m=np.round(height_m(vehicle, lat, lon), 1),
        speed_kmh=np.round(speed, 1),
        heading_deg=np.round(course, 1) % 360.0,
        # Metres are cut, not rounded: an odometer counts what is done.
        odometer_km=np.floor((day.odometer_km + driven_km) * 1000) / 1000,
        engine_on=engine_on,
        moving=moving,
        engine_rpm=_rpm(vehicle, speed, engine_on, moments),
        engine_load_pct=_load(vehicle, speed, engine_on, moments),
        coolant_c=_coolant(day, at_s, engine.span),
        energy_pct=level_pct,
        fuel_rate_lph=rate_lph,
    )


class Motion(NamedTuple):
    """One entry a moment: kilometres driven on the day so far, and speed."""

    km: Floats
    mps: Floats


class EngineState(NamedTuple):
    """One entry a moment: whether it is on, its hours of the day so far, the span that began last (-1: none yet)."""

    on: NDArray[np.bool_]
    hours: Floats
    span: NDArray[np.intp]


def _motion(day: Day, at_s: Floats) -> Motion:
    """Ramp up, even speed, ramp down in each run."""
    if not len(day.run_start_s):
        return Motion(np.zeros(len(at_s)), np.zeros(len(at_s)))
    run = np.maximum(np.searchsorted(day.run_start_s, at_s, side="right") - 1, 0)
    total, ramp, mps = day.run_s[run], day.run_ramp_s[run], day.run_mps[run]
    in_run = np.clip(at_s - day.run_start_s[run], 0.0, total)
    left = total - in_run
    metres = np.where(
        in_run < ramp,
        mps * in_run**2 / (2 * ramp),
        np.where(left < ramp, mps * (total - ramp) - mps * left**2 / (2 * ramp), mps * (in_run - ramp / 2)),
    )
    return Motion(day.run_from_km[run] + metres / 1000, mps * np.minimum(1.0, np.minimum(in_run, left) / ramp))


def _engine_at(day: Day, at_s: Floats) -> EngineState:
    span = np.searchsorted(day.engine_on_s, at_s, side="right") - 1
    if not len(day.engine_on_s):
        return EngineState(np.zeros(len(at_s), bool), np.zeros(len(at_s)), span)
    began = np.maximum(span, 0)
    length_s = day.engine_off_s - day.engine_on_s
    before_s = np.concatenate([[0.0], np.cumsum(length_s)])[began]
    run_s = before_s + np.clip(at_s - day.engine_on_s[began], 0.0, length_s[began])
    return EngineState((span >= 0) & (at_s < day.engine_off_s[began]), run_s / 3600, span)


def _rpm(vehicle: Vehicle, speed: Floats, engine_on: NDArray[np.bool_], moments: Moments) -> Floats:
    noise = 15 * around_zero(vehicle.key, "rpm", moments)
    if vehicle.kind.route is Route.SITE:
        driven = np.where(speed > 1, SITE_RPM + 8 * noise, IDLE_RPM + noise)
    else:
        driven = np.maximum(IDLE_RPM, speed * RPM_PER_KMH[np.searchsorted(GEAR_UP_KMH, speed)] * vehicle.kind.rpm_scale)
    return np.where(engine_on, np.round(driven + noise), 0.0)


def _load(vehicle: Vehicle, speed: Floats, engine_on: NDArray[np.bool_], moments: Moments) -> Floats:
    noise = around_zero(vehicle.key, "load", moments)
    share = speed / (vehicle.kind.speed_kmh[1] * 1.05)
    load = np.where(speed > 1, 30 + 42 * share + 12 * noise, IDLE_LOAD_PCT + 2 * noise)
    return np.where(engine_on, np.round(np.clip(load, 0, 100), 1), 0.0)


def _coolant(day: Day, at_s: Floats, span: NDArray[np.intp]) -> Floats:
    """Warms towards WARM_C while the engine is on, cools towards AMBIENT_C while it is off."""
    temperature = np.full(len(at_s), AMBIENT_C)
    at_off, before_off = np.asarray(AMBIENT_C), -np.inf
    for index, (on, off) in enumerate(zip(day.engine_on_s.tolist(), day.engine_off_s.tolist(), strict=True)):
        at_on = _towards(AMBIENT_C, at_off, on - before_off, COOLS_IN_S)
        at_off = _towards(WARM_C, at_on, off - on, WARMS_IN_S)
        here = span == index
        warming = _towards(WARM_C, at_on, np.minimum(at_s[here], off) - on, WARMS_IN_S)
        cooling = np.exp(-np.maximum(at_s[here] - off, 0.0) / COOLS_IN_S)
        temperature[here] = AMBIENT_C + (warming - AMBIENT_C) * cooling
        before_off = off
    return np.round(temperature, 1)


def _towards(target: float, start: Floats | float, elapsed_s: Floats | float, within_s: float) -> Floats:
    return np.asarray(target + (start - target) * np.exp(-np.asarray(elapsed_s) / within_s))


def _fuel(vehicle: Vehicle, day: Day, at_s: Floats, moved: Motion, engine: EngineState) -> tuple[Floats, Floats]:
    """Level of tank or battery (percent) and rate (litres an hour), of which one is the other's integral.

    A day's litres follow from its kilometres, known for all days at once; the engine's hours take their share of them
    and the kilometres the rest.
    """
    kind = vehicle.kind
    day_l, day_engine_h = day.km * kind.litres_per_100km / 100, float((day.engine_off_s - day.engine_on_s).sum()) / 3600
    idle_lph = min(kind.idle_lph, MOST_IDLE * day_l / day_engine_h) if day_engine_h else 0.0
    litres_per_km = (day_l - idle_lph * day_engine_h) / day.km if day.km else 0.0
    used_l = idle_lph * engine.hours + litres_per_km * moved.km
    first_s = day.engine_on_s[0] if len(day.engine_on_s) else np.inf
    before_km = np.where(at_s < first_s, day.left_over_km, day.since_refuel_km)
    level_pct = FULL_PCT - before_km * kind.litres_per_100km / kind.tank_l - 100 * used_l / kind.tank_l
    rate_lph = (idle_lph + litres_per_km * moved.mps * 3.6) * engine.on.astype(np.float64)
    level: Floats = np.maximum(2.0, level_pct)
    return np.round(level, 1), np.round(rate_lph, 2)
