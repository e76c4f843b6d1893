"""What a device did in a business day."""

from itertools import pairwise

import pytest

from contracts.derived import DEVICE_DAY_SCHEMA
from lake.derive.business_days import ONE_DAY
from tests.builders.journeys import DAY, at, derived, haversine_km, messy_tracks, noisy_tracks, track


def test_time_is_moving_idle_or_off():
    moving = track("a", at(8), [36] * 5, engine_on=True)
    idle = track("a", at(8, seconds=300), [0] * 5, engine_on=True)
    off = track("a", at(8, seconds=600), [0] * 6, engine_on=False)
    _, (day,) = derived(moving + idle + off)
    assert (day["moving_s"], day["idle_s"], day["off_s"], day["engine_s"]) == (300.0, 300.0, 300.0, 600.0)
    assert list(day) == DEVICE_DAY_SCHEMA.names


def test_an_engine_that_says_nothing_runs_by_its_speed_of_rotation_else_by_motion():
    _, (day,) = derived(track("a", at(8), [0] * 6, engine_rpm=800.0))
    assert (day["engine_s"], day["idle_s"]) == (300.0, 300.0)
    _, (day,) = derived(track("a", at(8), [0] * 6))
    assert (day["engine_s"], day["off_s"]) == (0.0, 300.0)


def test_distance_is_haversine_between_consecutive_good_positions_of_the_day():
    rows = track("a", at(23), [36, 72, 0, 50] * 30)
    today = [row for row in rows if row["ts"] < at(24)]
    _, days = derived(rows)
    assert days[0]["distance_gps_km"] == pytest.approx(sum(haversine_km(*pair) for pair in pairwise(today)), rel=1e-6)


def test_a_jump_is_not_distance_and_a_short_hop_is():
    rows = track("a", at(8), [36] * 4, step_s=10)
    jump = [*rows, rows[-1] | {"ts": at(8, seconds=40), "record_id": "e:j", "lat": 31.0}]
    hop = [*rows, rows[-1] | {"ts": at(8, seconds=31), "record_id": "e:h", "lat": rows[-1]["lat"] + 0.005}]
    _, (jumped,) = derived(jump)
    _, (hopped,) = derived(hop)
    assert jumped["distance_gps_km"] == pytest.approx(0.3, rel=1e-4)
    assert hopped["distance_gps_km"] == pytest.approx(0.3 + 0.556, rel=1e-2)


@pytest.mark.parametrize(
    ("readings", "km"),
    [
        ([100, 101, 103], 3.0),
        ([100, 101, 5, 6], 2.0),
        ([100, 90_000, 101, 102], 2.0),
        ([None, 7, None], 0.0),
        ([None], None),
    ],
    ids=["grows", "reset", "spike", "one reading", "none"],
)
def test_odometer_distance_is_growth_and_survives_a_reset_or_a_spike(readings, km):
    rows = track("a", at(8), [0] * len(readings), step_s=120)
    for row, reading in zip(rows, readings, strict=True):
        row["odometer_km"] = None if reading is None else float(reading)
    _, (day,) = derived(rows)
    assert day["distance_odometer_km"] == km


def test_fuel_is_rate_over_time():
    _, (day,) = derived(track("a", at(8), [36] * 31, fuel_rate_lph=6.0))
    assert day["fuel_l"] == pytest.approx(3.0)


def test_a_record_of_another_business_day_is_another_row():
    _, days = derived(track("a", at(-1), [0, 0], step_s=3600))
    assert [(day["day"], day["records"], day["off_s"]) for day in days] == [(DAY - ONE_DAY, 1, 0.0), (DAY, 1, 0.0)]


def test_counts_and_times_add_up_over_messy_tracks():
    rows = messy_tracks(7, devices=6, days=2)
    trips, days = derived(rows)
    assert sum(day["records"] for day in days) == len(rows)
    assert sum(day["flagged"] for day in days) == sum(row["flags"] != 0 for row in rows)
    assert sum(day["trips"] for day in days) == len(trips)
    for day in days:
        span_s = (day["last_ts"] - day["first_ts"]).total_seconds()
        assert day["moving_s"] + day["idle_s"] + day["off_s"] + day["unknown_s"] == pytest.approx(span_s)
        assert day["engine_s"] <= day["moving_s"] + day["idle_s"] + 1e-6


@pytest.mark.parametrize(
    ("tracks", "seed"), [(messy_tracks, 1), (messy_tracks, 2), (noisy_tracks, 3), (noisy_tracks, 4)]
)
def test_each_day_alone_gives_what_all_days_at_once_give(tracks, seed):
    """A day depends on nothing but its own records, those a stop and a gap before it, and those until the next noon."""
    rows = tracks(seed, devices=12, days=3)
    trips, days = derived(rows)
    span = [DAY + n * ONE_DAY for n in range(-1, 4)]
    alone = [derived(rows, [day]) for day in span]
    apart = derived(rows, span[::2])
    assert [trip for part, _ in alone for trip in part] == sorted(trips, key=lambda t: (t["day"], t["device_id"]))
    assert [day for _, part in alone for day in part] == sorted(days, key=lambda d: (d["day"], d["device_id"]))
    assert apart[0] == [trip for trip in trips if trip["day"] in span[::2]]
    assert apart[1] == [day for day in days if day["day"] in span[::2]]
    assert any(trip["day"] != (trip["end_ts"]).date() for trip in trips)
