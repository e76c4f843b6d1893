"""Simulated vehicles keep to physics and to working hours."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from math import asin, cos, radians, sin, sqrt
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.record import READINGS, Record
from devices.fleet import Simulation
from devices.fleet.calendar import make_calendar
from devices.fleet.day import plan_day
from devices.fleet.kinds import PATTERN
from devices.fleet.readings import read
from devices.fleet.roster import make_roster
from tests.builders.devices import A_WEDNESDAY, payloads, region, simulation

ZONES = {"eu": "Europe/Berlin", "us": "America/Chicago"}
TOP_KMH = {"car": 122, "van": 92, "truck": 92, "bus": 60, "machine": 16}
DAYS = 2
TANK_L = {kind.type: kind.tank_l for kind in PATTERN}


@cache
def tracks(name: str) -> dict[str, list[Any]]:
    """Each device's records over three working days, in order of time."""
    made = simulation(region=region(name, ZONES[name]), devices=36, hours=24 * DAYS, start=A_WEDNESDAY)
    return of_each_device(made)


def of_each_device(made: Simulation) -> dict[str, list[Any]]:
    """Each device's records with their times, in order."""
    found = defaultdict(list)
    for payload in payloads(made):
        record = msgspec.json.decode(payload, type=Record)
        found[record.device_id].append((moment(record.ts), record))
    return {device: sorted(track, key=lambda item: item[0]) for device, track in found.items()}


def moment(ts: int | str) -> datetime:
    return datetime.fromtimestamp(ts / 1000, UTC) if isinstance(ts, int) else datetime.fromisoformat(ts)


def haversine_km(a: Any, b: Any) -> float:
    half = sin(radians(b.lat - a.lat) / 2) ** 2
    half += cos(radians(a.lat)) * cos(radians(b.lat)) * sin(radians(b.lon - a.lon) / 2) ** 2
    return 2 * 6371.0088 * asin(sqrt(half))


def kind(device: str) -> str:
    return device.split("-")[1]


@pytest.mark.parametrize("name", ZONES)
def test_every_reading_is_within_the_contracts_bounds(name: str) -> None:
    for track in tracks(name).values():
        for _, record in track:
            for column in READINGS:
                value = getattr(record, column.name)
                assert value is None or column.low <= value <= column.high, (column.name, value)


@pytest.mark.parametrize("name", ZONES)
def test_the_odometer_only_grows_and_agrees_with_the_positions(name: str) -> None:
    for device, track in tracks(name).items():
        records = [record for _, record in track]
        assert all(before.odometer_km <= after.odometer_km for before, after in pairwise(records))
        driven_km = records[-1].odometer_km - records[0].odometer_km
        ground_km = sum(haversine_km(before, after) for before, after in pairwise(records))
        assert ground_km == pytest.approx(driven_km, rel=0.04, abs=0.05), device


@pytest.mark.parametrize("name", ZONES)
def test_speed_is_that_of_the_vehicle_and_of_its_positions(name: str) -> None:
    for device, track in tracks(name).items():
        top_kmh = TOP_KMH[kind(device)]
        assert max(record.speed_kmh for _, record in track) <= top_kmh
        for (at, before), (then, after) in pairwise(track):
            hours = (then - at).total_seconds() / 3600
            assert haversine_km(before, after) <= top_kmh * hours + 0.01


@pytest.mark.parametrize("name", ZONES)
def test_the_working_day_is_that_of_the_regions_zone(name: str) -> None:
    """Nobody drives at night; most of the driving is between six and six."""
    local = [
        at.astimezone(ZoneInfo(ZONES[name]))
        for track in tracks(name).values()
        for at, record in track
        if record.speed_kmh > 0
    ]
    assert not [at for at in local if at.hour < 4]
    assert sum(6 <= at.hour < 18 for at in local) > 0.7 * len(local)


@pytest.mark.parametrize("name", ZONES)
def test_vehicles_report_every_few_seconds_in_motion_and_seldom_at_rest(name: str) -> None:
    for track in tracks(name).values():
        moving = [
            (then - at).total_seconds()
            for (at, before), (then, after) in pairwise(track)
            if before.speed_kmh > 0 and after.speed_kmh > 0
        ]
        resting = [
            (then - at).total_seconds()
            for (at, before), (then, after) in pairwise(track)
            if not before.engine_on and not after.engine_on
        ]
        assert max(moving, default=0) <= 61
        assert sorted(resting)[len(resting) // 2] == pytest.approx(1800, abs=2)
        assert max((then - at for (at, _), (then, _) in pairwise(track))) <= timedelta(minutes=61)


def test_an_engine_that_is_off_does_not_turn_burn_or_drive() -> None:
    for track in tracks("eu").values():
        for _, record in track:
            if not record.engine_on:
                assert not record.speed_kmh
                assert not record.engine_rpm
                assert not record.fuel_rate_lph
            elif record.engine_rpm is not None:
                assert record.engine_rpm >= 700


def test_the_coolant_warms_with_the_engine_and_cools_without() -> None:
    checked = 0
    for track in tracks("eu").values():
        for (at, before), (then, after) in pairwise(track):
            if before.coolant_c is None or (then - at).total_seconds() > 70:
                continue
            if before.engine_on and after.engine_on:
                assert after.coolant_c >= before.coolant_c - 0.11
                checked += 1
    assert checked > 10_000


def test_fuel_falls_in_motion_and_rises_only_at_rest() -> None:
    for track in tracks("eu").values():
        for (_, before), (_, after) in pairwise(track):
            if after.fuel_pct is not None and after.fuel_pct > before.fuel_pct:
                assert after.odometer_km - before.odometer_km < 0.5
                assert after.fuel_pct > 85


@given(seed=st.integers(0, 2**40), ordinal=st.integers(730_200, 740_000), index=st.integers(0, len(PATTERN) - 1))
@settings(max_examples=60, deadline=None)
def test_the_tank_falls_by_what_the_fuel_rate_says(seed: int, ordinal: int, index: int) -> None:
    """On any day of any vehicle: the rate, read every second, adds up to the litres that left the tank."""
    day = date.fromordinal(ordinal)
    vehicle = make_roster(region(), index + 1, seed).vehicles[index]
    plan = plan_day(vehicle, make_calendar(vehicle, day, day), day, ZoneInfo(ZONES["eu"]))
    if not len(plan.engine_on_s):
        return
    span_s = np.arange(np.ceil(plan.engine_on_s[0]), plan.engine_off_s[-1] + 1)
    seen = read(vehicle, plan, plan.start_ms + (span_s * 1000).astype(np.int64))
    used_l = (seen.energy_pct[0] - seen.energy_pct[-1]) / 100 * vehicle.kind.tank_l
    burnt_l = seen.fuel_rate_lph.sum() / 3600
    assert burnt_l == pytest.approx(used_l, rel=0.01, abs=0.001 * vehicle.kind.tank_l)


@pytest.mark.parametrize("name", ZONES)
def test_a_fleets_records_tell_the_same_litres_by_level_and_by_rate(name: str) -> None:
    litres: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for device, track in tracks(name).items():
        sums = litres[kind(device)]
        for (at, before), (then, after) in pairwise(track):
            if before.fuel_pct is None:
                continue
            if after.fuel_pct <= before.fuel_pct:
                sums[0] += (before.fuel_pct - after.fuel_pct) / 100 * TANK_L[kind(device)]
            if before.engine_on:
                hours = (then - at).total_seconds() / 3600
                sums[1] += hours * (before.fuel_rate_lph + after.fuel_rate_lph) / 2
    assert len(litres) == len(TANK_L)
    for type_, (by_level, by_rate) in litres.items():
        assert by_rate == pytest.approx(by_level, rel=0.04), type_


def test_the_odometer_only_grows_over_windows_far_apart() -> None:
    """The same vehicles in windows before and after the turn of a decade, and the hours around it."""
    highest: dict[str, float] = {}
    for start in ("2001-03-01", "2010-06-30", "2019-12-31", "2020-01-01", "2026-11-18"):
        window = simulation(devices=12, start=datetime.fromisoformat(start).replace(tzinfo=UTC))
        for device, track in of_each_device(window).items():
            assert track[0][1].odometer_km >= highest.get(device, 0.0)
            highest[device] = track[-1][1].odometer_km


@pytest.mark.parametrize(
    ("zone", "lats", "lons"),
    [
        ("America/Sao_Paulo", (-34, 5), (-74, -34)),
        ("America/Chicago", (24, 50), (-125, -66)),
        ("America/Toronto", (43, 62), (-126, -60)),
        ("America/Mexico_City", (14, 33), (-118, -86)),
        ("Europe/Berlin", (36, 60), (-10, 32)),
        ("Europe/London", (50, 59), (-8, 2)),
        ("Asia/Kolkata", (8, 34), (68, 90)),
        ("Asia/Kuala_Lumpur", (-9, 21), (95, 120)),
        ("Africa/Johannesburg", (-35, -22), (16, 33)),
        ("Australia/Sydney", (-39, -20), (138, 154)),
    ],
)
def test_vehicles_drive_where_their_regions_law_holds(
    zone: str, lats: tuple[float, float], lons: tuple[float, float]
) -> None:
    vehicles = simulation(region=region("xy", zone), devices=24 * 8, hours=1).roster.vehicles
    assert all(lats[0] <= one.lat <= lats[1] and lons[0] <= one.lon <= lons[1] for one in vehicles)
    made = simulation(region=region("xy", zone), devices=5, hours=24)
    positions = [(one.lat, one.lon) for track in of_each_device(made).values() for _, one in track]
    assert len(positions) > 100
    assert all(lats[0] <= lat <= lats[1] and lons[0] <= lon <= lons[1] for lat, lon in positions)


def test_a_fleet_is_varied() -> None:
    """Faults now and then, battery vehicles, makers that send times as text, and ids of their own, and extras."""
    everything = [record for track in tracks("eu").values() for _, record in track]
    for share in (
        sum(record.fault_codes is not None for record in everything) / len(everything),
        sum(record.engine_rpm is None for record in everything) / len(everything),
        sum(isinstance(record.ts, str) for record in everything) / len(everything),
        sum(record.event_id is not None for record in everything) / len(everything),
        sum(record.signals is not None for record in everything) / len(everything),
    ):
        assert 0 < share < 0.9


def test_weekends_are_quiet_for_trucks_and_not_for_buses() -> None:
    def driven_km(start: datetime) -> dict[str, float]:
        made = simulation(devices=60, hours=24, start=start)
        ends: dict[str, list[float]] = defaultdict(list)
        for payload in payloads(made):
            record = msgspec.json.decode(payload, type=Record)
            ends[record.device_id].append(record.odometer_km)
        total: dict[str, float] = defaultdict(float)
        for device, odometer in ends.items():
            total[kind(device)] += max(odometer) - min(odometer)
        return total

    weekday, sunday = driven_km(A_WEDNESDAY), driven_km(A_WEDNESDAY + timedelta(days=4))
    assert sunday["truck"] < 0.3 * weekday["truck"]
    assert sunday["bus"] > 0.4 * weekday["bus"]
