"""Builders for tests of trips and device days: tracks, and what a derivation makes of them."""

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from contracts.names import DEVICE_DAY_TABLE, TRIP_TABLE
from lake.derive.business_days import ONE_DAY
from lake.derive.job import derive
from lake.derive.motion.device_days import EPISODES, FAULTS, TRIPS, derive_table
from lake.derive.motion.readings import READ
from lake.derive.motion.rules import TripRules
from lake.derive.replace import in_days
from lake.derive.source import spans_of
from lake.merge.spans import sql_condition
from tests.builders.lake import landing_row, landing_table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RULES = TripRules(stop_s=300, gap_s=3600, moving_kmh=3.0, time_zone="America/Chicago")
MIDNIGHT = datetime(2026, 3, 10, 5, tzinfo=UTC)
"""00:00 of 2026-03-10 in Chicago (summer time)."""
DAY = date(2026, 3, 10)
Row = dict[str, Any]


def at(hours: float, *, seconds: float = 0) -> datetime:
    """A time of the business day DAY."""
    return MIDNIGHT + timedelta(hours=hours, seconds=seconds)


def track(device: str, start: datetime, speeds: Iterable[float], *, step_s: int = 60, **columns: Any) -> list[Row]:
    """A record each step at these speeds (km/h), each held until the next; due north from 30 N."""
    rows, lat = [], 30.0
    for place, kmh in enumerate(speeds):
        ts = start + timedelta(seconds=place * step_s)
        rows.append(landing_row(device, ts, str(ts), lat=lat, lon=-97.0, speed_kmh=kmh, **columns))
        lat += kmh * step_s / 3600 / 111.195
    return rows


def haversine_km(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Plain haversine on a sphere of 6371.0088 km."""
    lat1, lon1, lat2, lon2 = (math.radians(v) for v in (one["lat"], one["lon"], other["lat"], other["lon"]))
    a = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * 6371.0088 * math.asin(math.sqrt(a))


def derived(
    rows: Iterable[Row], days: Sequence[date] | None = None, rules: TripRules = RULES
) -> tuple[list[Row], list[Row]]:
    """Trips and device days of the rows, in order; of these days alone, from no more than they depend on, if given."""
    made = _made(rows, days, rules)
    plain = [{name: value for name, value in day.items() if name not in (TRIPS, EPISODES, FAULTS)} for day in made]
    return _sorted(trip for day in made for trip in day[TRIPS]), _sorted(plain)


def episodes(rows: Iterable[Row], days: Sequence[date] | None = None, rules: TripRules = RULES) -> list[Row]:
    """Episodes of the rows, by day and start; of these days alone if given."""
    return _sorted(episode for day in _made(rows, days, rules) for episode in day[EPISODES])


def faults(rows: Iterable[Row], days: Sequence[date] | None = None, rules: TripRules = RULES) -> list[Row]:
    """Fault days of the rows, by day and device; of these days alone if given."""
    return [_naive(fault) for day in _made(rows, days, rules) for fault in day[FAULTS]]


def _made(rows: Iterable[Row], days: Sequence[date] | None, rules: TripRules) -> list[Row]:
    if days is not None:
        spans = spans_of(days, rules)
        rows = [row for row in rows if any(span.start <= row["ts"] < span.end for span in spans)]
    made: list[Row] = derive_table(landing_table(rows).select(list(READ)), rules, days).to_pylist()
    return made


def _sorted(rows: Iterable[Row]) -> list[Row]:
    return sorted(map(_naive, rows), key=_order)


def derived_by_spark(
    spark: "SparkSession", rows: Sequence[Row], days: Sequence[date] | None = None, rules: TripRules = RULES
) -> tuple[list[Row], list[Row]]:
    """The same by the product's own job on Spark."""
    frame = spark.createDataFrame(landing_table(rows).select(list(READ)))
    if days is not None:
        frame = frame.where(sql_condition("ts", spans_of(days, rules)))
    made = derive(frame, rules)
    found = []
    for name in (TRIP_TABLE, DEVICE_DAY_TABLE):
        chosen = made[name] if days is None else made[name].where(in_days(days))
        found.append(sorted((row.asDict() for row in chosen.collect()), key=_order))
    spark.catalog.clearCache()
    return found[0], found[1]


def _naive(row: Row) -> Row:
    """The row with its times in UTC without saying so, as Spark's rows have them."""
    return {name: value.replace(tzinfo=None) if isinstance(value, datetime) else value for name, value in row.items()}


def _order(row: Row) -> tuple[Any, ...]:
    return row["device_id"], row["day"], row.get("start_ts") or datetime.min, row.get("kind", "")


def messy_tracks(seed: int, devices: int, days: int) -> list[Row]:
    """Tracks that wander over midnights and noons with stops, gaps, missing speeds, bad positions and equal times."""
    chance = random.Random(seed)
    rows: list[Row] = []
    for number in range(devices):
        lat, lon, odometer = 30.0, -97.0, 1000.0
        ts, end = MIDNIGHT - ONE_DAY + timedelta(minutes=chance.randrange(600)), MIDNIGHT + days * ONE_DAY
        driving, place = True, 0
        while ts < end:
            place += 1
            kmh = chance.choice([20.0, 50.0, 90.0]) if driving else 0.0
            step_s = (
                chance.choice([60, 120, 240, 290, 300, 301])
                if chance.random() < 0.97
                else chance.choice([3600, 3601, 9000])
            )
            odd = chance.random()
            row = landing_row(f"d{number}", ts, str(place), lat=lat, lon=lon, speed_kmh=kmh, odometer_km=odometer)
            row |= {"engine_on": chance.choice([True, False, None]), "fuel_rate_lph": chance.choice([None, 4.0])}
            if odd < 0.05:
                row |= {"lat": 0.0, "lon": 0.0, "flags": 1}
            elif odd < 0.15:
                row |= {"speed_kmh": None}
            rows.append(row)
            if odd > 0.95:
                rows.append(
                    row | {"record_id": f"e:{place}-again", "lat": lat + 0.01, "arrival_ts": ts + timedelta(seconds=2)}
                )
            lat += kmh * step_s / 3600 / 111.195
            odometer += kmh * step_s / 3600
            ts += timedelta(seconds=step_s)
            if chance.random() < (0.004 if number % 2 else 0.06):
                driving = not driving
    chance.shuffle(rows)
    return rows


def noisy_tracks(seed: int, devices: int, days: int) -> list[Row]:
    """Messy tracks as worse receivers and control units report them: off by some metres at rest too, with bounces,
    single zeros, codes for "not available", messages without a position in between, and bursts of seconds."""
    chance = random.Random(seed)
    rows: list[Row] = []
    for row in messy_tracks(seed, devices, days):
        made = dict(row)
        if made["lat"]:
            made |= {name: made[name] + chance.gauss(0, 1e-4) for name in ("lat", "lon")}
        odd = chance.random()
        if odd < 0.02:
            made |= {"lat": made["lat"] + 0.008}
        elif odd < 0.03:
            made |= {chance.choice(["lat", "lon"]): 0.0}
        elif odd < 0.05:
            made |= {"speed_kmh": 255.99609375, "engine_rpm": 8191.875, "odometer_km": chance.choice([0.0, 9e6])}
        elif odd < 0.10:
            made |= {"speed_kmh": abs(chance.gauss(0, 3))}
        elif odd < 0.15:
            made |= {"lat": None, "lon": None, "speed_kmh": None, "engine_rpm": 800.0}
        rows.append(made)
        for second in range(2, chance.choice([2, 2, 2, 2, 6, 30]), 4):
            later = {"ts": row["ts"] + timedelta(seconds=second), "record_id": f"{row['record_id']}+{second}"}
            rows.append(made | later | {"arrival_ts": row["arrival_ts"] + timedelta(seconds=second)})
    return rows
