"""Small tracks of kinds that receivers, control units and gateways in the field produce."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from lake.derive.motion.rules import TripRules
from tests.builders.lake import landing_row

Row = dict[str, Any]
BERLIN = TripRules(stop_s=300, gap_s=3600, moving_kmh=3.0, time_zone="Europe/Berlin")
START = datetime(2026, 3, 10, 8, tzinfo=UTC)
"""09:00 in Berlin."""
METRE = 1 / 111_195.0
"""Degrees of latitude."""


@dataclass(frozen=True)
class Track:
    """A device's records. trips, km and moving_s are what is right, each within its `off`; None is not asked."""

    name: str
    rows: Callable[[], list[Row]]
    trips: int | None = None
    km: float | None = None
    moving_s: float | None = None
    off: float = 0.02
    """Share by which kilometres and seconds may differ; what is 0 is at most 0.05 km."""
    day: dict[str, float | None] | None = None
    """Further columns of the device days, summed, that are exactly so."""


def row(seconds: float, north_m: float | None = 0.0, message: str = "", **columns: Any) -> Row:
    """A record so many metres north of 48 N 11 E; None is no position."""
    place = {"lat": 48.0 + north_m * METRE, "lon": 11.0} if north_m is not None else {}
    return landing_row("a", START + timedelta(seconds=seconds), f"{seconds}{message}", **place, **columns)


def drive(seconds: Iterable[float], *, kmh: float = 60.0, from_s: float = 0, from_m: float = 0, **columns: Any) -> Any:
    """Records at a constant speed due north."""
    return [row(at, from_m + (at - from_s) * kmh / 3.6, speed_kmh=kmh, **columns) for at in seconds]


def parked(
    seconds: Iterable[float], noise_m: float, speed: Callable[[random.Random], float | None], **columns: Any
) -> Any:
    """Records of a parked device whose receiver is off by normal noise."""
    chance = random.Random(1)
    rows = []
    for at in seconds:
        made = row(at, chance.gauss(0, noise_m), speed_kmh=speed(chance), **columns)
        rows.append(made | {"lon": 11.0 + chance.gauss(0, noise_m) * METRE / 0.67})
    return rows


def _two_units(offset_s: int, **columns: Any) -> list[Row]:
    """An hour at 60 km/h: the receiver each ten seconds, the control unit so many seconds later."""
    rows = []
    for at in range(0, 3600, 10):
        rows.append(row(at, at / 3.6 * 60, "gps", speed_kmh=60.0))
        extra = {name: value(at) if callable(value) else value for name, value in columns.items()}
        rows.append(row(at + offset_s, None, "can", engine_rpm=1800.0, fuel_rate_lph=8.0, **extra))
    return rows


def _red_lights() -> list[Row]:
    stops = (6, 12, 18)
    return [row(600 * n, n * 10_000, speed_kmh=0.0 if n in stops else 60.0, engine_on=True) for n in range(19)]


def _tunnel(minutes: int, *, silent: bool = False) -> list[Row]:
    after = 600 + 60 * minutes
    inside = [] if silent else [row(at, None, "in") for at in range(600, after, 10)]
    whole = [*range(0, 600, 10), *range(after, after + 600, 10)]
    return drive(whole, kmh=80.0) + inside


def _half_zeros() -> list[Row]:
    rows = drive(range(0, 1200, 30), kmh=54.0)
    for place, name in ((9, "lat"), (20, "lon"), (30, "lat"), (31, "lat")):
        rows[place] |= {name: 0.0}
    return rows


def _odometer_spikes() -> list[Row]:
    rows = [made | {"odometer_km": 100_000 + n * 0.45} for n, made in enumerate(drive(range(0, 1200, 30), kmh=54.0))]
    for place, wrong in ((10, 0.0), (15, 900_000.0), (25, 0.0), (26, 0.0)):
        rows[place] |= {"odometer_km": wrong}
    return rows


def _not_available() -> list[Row]:
    codes = {"speed_kmh": 255.99609375, "engine_rpm": 8191.875, "fuel_rate_lph": 3276.75, "odometer_km": 21_474_836.475}
    good = {"speed_kmh": 0.0, "engine_rpm": 0.0, "fuel_rate_lph": 0.0, "odometer_km": 100_000.0}
    return [row(30 * n, 0, **(good if n < 20 else codes)) for n in range(120)]


def _sleeper() -> list[Row]:
    asleep = [row(300 + wake, 5050, speed_kmh=0.0, engine_on=False) for wake in (3500, 3560)]
    return drive(range(0, 301, 60), engine_on=True) + asleep


def _blips() -> list[Row]:
    return [row(60 * n, 0, speed_kmh=4.6 if n % 15 == 0 else 0.0, engine_on=False) for n in range(180)]


def _doubled_clock() -> list[Row]:
    first = drive(range(0, 3600, 10))
    again = [row(at + 1, (at - 600) / 3.6 * 60, "again", speed_kmh=60.0) for at in range(600, 3600, 10)]
    return first + again


def _cold_start() -> list[Row]:
    waking = [row(10 * n, 0 if n else 250_000, speed_kmh=0.0) for n in range(10)]
    return waking + drive(range(7200, 7801, 10), from_s=7200, from_m=30)


def _over_the_pole() -> list[Row]:
    """Half a kilometre a minute along the meridian of 11 E, and on along that of 169 W."""
    rows = [row(60 * n, 0, speed_kmh=30.0) for n in range(40)]
    for n, made in enumerate(rows):
        north_m = (n - 19.5) * 500
        made |= {"lat": 90 - abs(north_m) * METRE, "lon": 11.0 if north_m < 0 else -169.0}
    return rows


def _weeks_begin_anew() -> list[Row]:
    """A drive in whose middle the receiver's count of GPS weeks begins anew."""
    rows = drive(range(0, 1200, 30), kmh=54.0)
    for made in rows[10:30]:
        made |= {"ts": made["ts"] - timedelta(weeks=1024)}
    return rows


TRACKS: tuple[Track, ...] = (
    Track(
        "parked, speed noise",
        lambda: parked(range(0, 28_800, 10), 3, lambda c: round(abs(c.gauss(0, 1.5)), 1), engine_on=False),
        trips=0,
        km=0,
        moving_s=0,
    ),
    Track(
        "parked, speed 0",
        lambda: parked(range(0, 28_800, 10), 8, lambda _: 0.0, engine_on=False),
        trips=0,
        km=0,
        moving_s=0,
    ),
    Track("parked, no speed", lambda: parked(range(0, 28_800, 10), 8, lambda _: None), trips=0, km=0, moving_s=0),
    Track("parked, each minute", lambda: parked(range(0, 28_800, 60), 8, lambda _: None), trips=0, km=0, moving_s=0),
    Track(
        "one speed in an hour",
        lambda: [row(60 * n, 0, speed_kmh=5.0 if n == 30 else 0.0) for n in range(60)],
        trips=0,
        km=0,
        moving_s=0,
    ),
    Track("a speed each quarter", _blips, trips=0, km=0, moving_s=0),
    Track(
        "red lights each ten minutes", _red_lights, trips=1, km=180, moving_s=10_800, day={"off_s": 0, "unknown_s": 0}
    ),
    Track("sleeps after a moving record", _sleeper, trips=1, km=5, moving_s=300, day={"idle_s": 0, "unknown_s": 3500}),
    Track(
        "receiver and control unit in turn",
        lambda: _two_units(5),
        trips=1,
        km=60,
        moving_s=3590,
        day={"engine_s": 3595, "off_s": 0},
    ),
    Track(
        "receiver and control unit at once",
        lambda: _two_units(0, odometer_km=lambda at: 1000 + at / 60),
        trips=1,
        km=60,
        moving_s=3590,
        day={"fuel_l": 7.977778, "engine_s": 3590},
    ),
    Track(
        "odometer in metres",
        lambda: [made | {"odometer_km": 1e6 + n * 166.7} for n, made in enumerate(drive(range(0, 3600, 10)))],
        trips=1,
        km=60,
        day={"distance_odometer_km": None},
    ),
    Track(
        "crawling odometer in metres",
        lambda: [made | {"odometer_km": 1e6 + n} for n, made in enumerate(drive(range(3600), kmh=3.6))],
        trips=1,
        km=3.6,
        day={"distance_odometer_km": None},
    ),
    Track(
        "a report each six hours",
        lambda: [row(21_600 * n, n * 100_000, odometer_km=1000.0 + 100 * n, engine_on=True) for n in range(9)],
        trips=0,
        day={"distance_odometer_km": 800, "off_s": 0},
    ),
    Track(
        "an excavator each 65 minutes",
        lambda: [row(3900 * n, 0, speed_kmh=0.0, engine_on=True, fuel_rate_lph=10.0) for n in range(12)],
        trips=0,
        day={"off_s": 0, "moving_s": 0, "unknown_s": 42_900},
    ),
    Track(
        "an excavator each ten minutes",
        lambda: [row(600 * n, 0, speed_kmh=0.0, engine_on=True) for n in range(12)],
        trips=0,
        day={"off_s": 0, "idle_s": 6600, "unknown_s": 0},
    ),
    Track(
        "a tracker without an engine each ten minutes",
        lambda: [row(600 * n, 0, speed_kmh=0.0) for n in range(12)],
        trips=0,
        day={"off_s": 0, "unknown_s": 6600},
    ),
    Track(
        "bounces of 900 m",
        lambda: [row(2 * n, 900 if n % 2 else 0, speed_kmh=0.0) for n in range(600)],
        trips=0,
        km=0,
        moving_s=0,
    ),
    Track(
        "ferry, ignition off",
        lambda: drive(range(0, 7201, 60), kmh=30, engine_on=False),
        1,
        60,
        7200,
        day={"engine_s": 0},
    ),
    Track("tunnel of five minutes", lambda: _tunnel(5), 1, 33.1, 1490),
    Track("tunnel of six minutes", lambda: _tunnel(6), 1, 34.4, 1550),
    Track("tunnel of six silent minutes", lambda: _tunnel(6, silent=True), 1, 34.4, 1550),
    Track("a clock set back", _doubled_clock, 1, 60, 3591),
    Track("a first fix of yesterday", _cold_start, 1, 10, 600),
    Track("half zeros", _half_zeros, 1, 17.55, 1170),
    Track("odometer spikes", _odometer_spikes, 1, 17.55, 1170, day={"distance_odometer_km": 17.55}),
    Track("J1939 not available", _not_available, trips=0, km=0, moving_s=0, day={"engine_s": 0}),
    Track(
        "iOS without speed",
        lambda: [made | {"speed_kmh": -1.0, "flags": 16} for made in drive(range(0, 1200, 30), kmh=36)],
        1,
        11.7,
        1170,
    ),
    Track(
        "over 180 degrees",
        lambda: [row(60 * n, 0, speed_kmh=15.0) | {"lon": (179.9 + n / 300 + 180) % 360 - 180} for n in range(60)],
        1,
        14.63,
        3540,
    ),
    Track("over a pole", _over_the_pole, 1, 19.5, 2340),
    Track("GPS weeks that begin anew", _weeks_begin_anew, trips=2, km=17.55 + 8.55),
)
