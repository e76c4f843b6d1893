"""What holds for the rules of motion whatever the records are."""

import os
import subprocess
import sys
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders.journeys import derived, derived_by_spark, messy_tracks, noisy_tracks
from tests.builders.tracks import BERLIN, drive, row

READINGS = st.fixed_dictionaries(
    {
        "speed_kmh": st.none() | st.sampled_from([0.0, 2.0, 4.0, 50.0, 255.996, -1.0]),
        "engine_on": st.sampled_from([None, True, False]),
        "odometer_km": st.none() | st.sampled_from([0.0, 10.0, 10.5, 11.0, 9e6]),
        "fuel_rate_lph": st.none() | st.sampled_from([0.0, 6.0]),
    }
)
STEPS_S = st.sampled_from([0, 1, 10, 60, 120, 299, 300, 301, 600, 3600, 3601, 20_000])
PLACES_M = st.none() | st.sampled_from([0.0, 5.0, 40.0, 60.0, 300.0, 900.0, 40_000.0])


@st.composite
def records(draw: st.DrawFn) -> list[dict]:
    """A device's records: any steps, places and readings, several of one time among them."""
    made, at = [], 0
    for number in range(draw(st.integers(1, 25))):
        at += draw(STEPS_S)
        made.append(row(at, draw(PLACES_M), f"-{number}", **draw(READINGS)))
    return made


@given(records(), st.randoms())
@settings(max_examples=150, deadline=None)
def test_any_order_and_repetition_of_the_records_gives_the_same(rows, chance):
    shuffled = rows + chance.sample(rows, chance.randrange(len(rows) + 1))
    chance.shuffle(shuffled)
    assert derived(shuffled, rules=BERLIN) == derived(rows, rules=BERLIN)


@given(records())
@settings(max_examples=150, deadline=None)
def test_every_second_of_a_day_is_counted_once(rows):
    _, days = derived(rows, rules=BERLIN)
    assert sum(day["records"] for day in days) == len(rows)
    for day in days:
        counted = day["moving_s"] + day["idle_s"] + day["off_s"] + day["unknown_s"]
        assert counted == pytest.approx((day["last_ts"] - day["first_ts"]).total_seconds())
        assert day["engine_s"] <= day["moving_s"] + day["idle_s"] + 1e-6
        assert day["distance_gps_km"] >= 0


@given(records())
@settings(max_examples=150, deadline=None)
def test_trips_do_not_overlap_and_are_as_long_as_a_trip_is(rows):
    trips, days = derived(rows, rules=BERLIN)
    assert [trip["end_ts"] <= later["start_ts"] for trip, later in pairwise(trips)] == [True] * max(len(trips) - 1, 0)
    assert sum(day["trips"] for day in days) == len(trips)
    ends = {trip["end_ts"] for trip in trips}
    for trip in trips:
        long_enough = trip["distance_km"] >= 0.2 or trip["moving_s"] >= 180
        assert long_enough or trip["start_ts"] in ends  # the rest of one that was cut at noon


@given(st.integers(1, 58), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
@settings(max_examples=100, deadline=None)
def test_one_position_that_is_far_off_changes_no_distance(place, north, east):
    rows = drive(range(0, 600, 10))
    (plain,), _ = derived(rows, rules=BERLIN)
    rows[place] |= {"lat": rows[place]["lat"] + north, "lon": rows[place]["lon"] + east}
    (trip,), _ = derived(rows, rules=BERLIN)
    assert trip["distance_km"] == pytest.approx(plain["distance_km"], abs=1.0)
    assert (trip["start_ts"], trip["end_ts"]) == (plain["start_ts"], plain["end_ts"])


@pytest.mark.parametrize(("tracks", "seed"), [(messy_tracks, 5), (noisy_tracks, 6)])
def test_spark_gives_what_the_rules_give(spark, tracks, seed):
    rows = tracks(seed, devices=5, days=2)
    assert derived_by_spark(spark, rows) == derived(rows)


def test_the_rules_give_the_same_uncompiled():
    program = (
        "from tests.builders.journeys import derived, noisy_tracks\n"
        "print(derived(noisy_tracks(7, devices=2, days=1)))\n"
    )
    plain = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert plain.stdout.strip() == str(derived(noisy_tracks(7, devices=2, days=1)))


def test_a_day_is_the_same_however_far_its_neighbours_reach():
    """What lies before a gap and a stop before midnight, or after the next noon, is not seen."""
    rows = drive(range(0, 3600, 10))
    far = [row(3600 * n + 1, 500_000, "far", speed_kmh=90.0, odometer_km=5.0) for n in (-40, -30, 60, 80)]
    own = rows[0]["ts"].date()
    with_them = derived(rows + far, rules=BERLIN)
    assert [[made for made in part if made["day"] == own] for part in with_them] == [
        *map(list, derived(rows, rules=BERLIN))
    ]
    assert rows[0]["ts"] - far[1]["ts"] > timedelta(hours=20)
