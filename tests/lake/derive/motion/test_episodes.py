"""Stops, idling, harsh changes of speed, refuels."""

import random
from itertools import pairwise

import pytest

from contracts.derived import EPISODE_SCHEMA
from lake.derive.business_days import ONE_DAY
from lake.derive.motion.episodes import KINDS
from tests.builders.journeys import episodes, messy_tracks, noisy_tracks
from tests.builders.tracks import BERLIN, START, drive, row


def of_kind(kind: str, rows: list[dict]) -> list[dict]:
    return [one for one in episodes(rows, rules=BERLIN) if one["kind"] == kind]


def standing(start_s: int, end_s: int, north_m: float, step_s: int = 60, **columns: object) -> list[dict]:
    return [row(at, north_m, speed_kmh=0.0, **columns) for at in range(start_s, end_s, step_s)]


def delivery(**columns: object) -> list[dict]:
    """Ten minutes at 60 km/h, twenty at a customer, ten on."""
    there = 10_000.0
    onward = drive(range(1800, 2400, 60), from_s=1800, from_m=there, **columns)
    return drive(range(0, 600, 60), **columns) + standing(600, 1800, there, **columns) + onward


def test_a_stop_lasts_from_one_trip_to_the_next_and_is_where_the_device_stood():
    (stop,) = [one for one in of_kind("stop", delivery(engine_on=False)) if one["ended"]]
    assert (stop["start_ts"], stop["duration_s"]) == ((START.replace(tzinfo=None) + ONE_DAY / 144), 1200.0)
    assert stop["lat"] == pytest.approx(48.0 + 10_000 / 111_195)
    assert list(stop) == EPISODE_SCHEMA.names


def test_what_stands_when_its_records_end_is_a_stop_that_has_not_ended():
    rows = drive(range(0, 600, 60)) + standing(600, 1800, 10_000.0)
    ((_, seconds, ended),) = [tuple(s[name] for name in ("kind", "duration_s", "ended")) for s in of_kind("stop", rows)]
    assert (seconds, ended) == (1140.0, False)


def test_motion_that_is_no_trip_does_not_end_a_stop():
    rows = delivery()
    for made in rows[15:17]:
        made |= {"speed_kmh": 5.0}
    rows[16] |= {"lat": rows[16]["lat"] + 80 / 111_195}  # on the yard and back: 160 m
    assert [stop["duration_s"] for stop in of_kind("stop", rows) if stop["ended"]] == [1200.0]


def test_silence_in_which_the_device_came_away_ends_a_stop():
    rows = drive(range(0, 600, 60)) + standing(600, 1800, 10_000.0) + standing(9000, 10_000, 40_000.0)
    (stop,) = of_kind("stop", rows)
    assert (stop["duration_s"], stop["ended"]) == (1140.0, True)


def test_idling_is_standing_with_the_engine_on_and_has_its_fuel():
    (idle,) = of_kind("idle", delivery(engine_on=True, fuel_rate_lph=3.0))
    assert (idle["duration_s"], idle["fuel_l"]) == (1200.0, pytest.approx(1.0))
    assert of_kind("idle", delivery(engine_on=False)) == []
    assert of_kind("idle", standing(0, 100, 0.0, 20, engine_on=True)) == []


def at_each_second(speeds: list[float]) -> list[dict]:
    north, rows = 0.0, []
    for second, kmh in enumerate(speeds):
        rows.append(row(second, north, speed_kmh=kmh))
        north += kmh / 3.6
    return rows


def test_hard_braking_and_acceleration_are_told_apart_and_counted_once():
    cruise = [50.0] * 20
    rows = at_each_second([*cruise, 38.0, 25.0, 12.0, *[12.0] * 20, 25.0, 40.0, *[40.0] * 20])
    found = [one for one in episodes(rows, rules=BERLIN) if one["kind"].startswith("harsh")]
    assert [(one["kind"], one["duration_s"], one["value"]) for one in found] == [
        ("harsh_braking", 3.0, 13.0),
        ("harsh_acceleration", 2.0, 15.0),
    ]


@pytest.mark.parametrize(
    "speeds",
    [
        [50.0] * 10 + [90.0] + [50.0] * 10,
        [50.0 - 8 * n for n in range(6)],
        [5.0 * n for n in range(12)],
    ],
    ids=["a wrong reading", "firm braking", "plain acceleration"],
)
def test_other_changes_of_speed_are_not_harsh(speeds):
    assert not [one for one in episodes(at_each_second(speeds), rules=BERLIN) if one["kind"].startswith("harsh")]


def test_speeds_ten_seconds_apart_do_not_tell():
    rows = drive(range(0, 100, 10)) + drive(range(100, 200, 10), kmh=10, from_s=100, from_m=1666)
    assert not [one for one in episodes(rows, rules=BERLIN) if one["kind"].startswith("harsh")]


def levelled(before: float, after: float, slosh: float = 3.0) -> list[dict]:
    chance = random.Random(3)
    return [
        made | {"fuel_pct": (before if n < 20 else after) + chance.uniform(-slosh, slosh)}
        for n, made in enumerate(delivery())
    ]


def test_a_refuel_and_a_drop_are_seen_through_the_float_s_swaying():
    (refuel,) = of_kind("refuel", levelled(20, 90))
    assert refuel["value"] == pytest.approx(70, abs=6)
    (drop,) = of_kind("fuel_drop", levelled(60, 35))
    assert drop["value"] == pytest.approx(-25, abs=6)
    kinds = {one["kind"] for one in episodes(levelled(50, 49, 5.0), rules=BERLIN)}
    assert not kinds & {"refuel", "fuel_drop"}


@pytest.mark.parametrize(("tracks", "seed"), [(messy_tracks, 1), (noisy_tracks, 2)])
def test_episodes_of_each_day_alone_are_those_of_all_days_at_once(tracks, seed):
    rows = tracks(seed, devices=8, days=3)
    found = episodes(rows)
    days = sorted({one["day"] for one in found})
    alone = [one for day in days for one in episodes(rows, [day])]
    assert sorted(alone, key=str) == sorted(found, key=str)
    assert {one["kind"] for one in found} <= set(KINDS)
    assert len({one["episode_id"] for one in found}) == len(found)
    assert all(one["start_ts"] <= one["end_ts"] for one in found)


@pytest.mark.parametrize("seed", [1, 2])
def test_stops_and_idling_do_not_overlap(seed):
    found = episodes(noisy_tracks(seed, devices=6, days=3))
    for kind in ("stop", "idle"):
        for device in {one["device_id"] for one in found}:
            own = [one for one in found if (one["device_id"], one["kind"]) == (device, kind)]
            overlaps = [(a, b) for a, b in pairwise(own) if a["end_ts"] > b["start_ts"]]
            assert overlaps == []
