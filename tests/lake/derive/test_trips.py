"""Where a trip begins and ends, and what is counted in it."""

from datetime import timedelta

import pyarrow as pa
import pytest

from contracts.derived import TRIP_SCHEMA
from contracts.errors import BadSettings, SchemaMismatch
from lake.derive.business_days import ONE_DAY
from lake.derive.motion.device_days import derive_table
from lake.derive.motion.rules import TripRules
from tests.builders.journeys import DAY, RULES, at, derived, track


def test_standing_for_less_than_a_stop_does_not_end_a_trip():
    (trip,), _ = derived(track("a", at(8), [36, 36, 0, 0, 0, 0, 36, 36, 0]))
    assert (trip["start_ts"], trip["end_ts"]) == tuple(t.replace(tzinfo=None) for t in (at(8), at(8, seconds=480)))
    assert (trip["moving_s"], trip["idle_s"], trip["records"]) == (240.0, 240.0, 9)
    assert trip["distance_km"] == pytest.approx(2.4, rel=1e-4)
    assert list(trip) == TRIP_SCHEMA.names


def test_standing_for_a_stop_ends_a_trip():
    trips, (day,) = derived(track("a", at(8), [36, 36, 0, 0, 0, 0, 0, 36, 36, 0]))
    assert [(trip["moving_s"], trip["idle_s"], trip["records"]) for trip in trips] == [(120.0, 0.0, 3)] * 2
    assert day["trips"] == 2


def test_a_gap_ends_a_trip_and_is_not_time_in_motion():
    rows = track("a", at(8), [36, 36]) + track("a", at(9, seconds=61), [36, 0])
    trips, (day,) = derived(rows)
    assert [trip["moving_s"] for trip in trips] == [60.0, 60.0]
    assert (day["moving_s"], day["idle_s"], day["off_s"], day["unknown_s"]) == (120.0, 0.0, 0.0, 3601.0)


def test_a_trip_without_a_stop_goes_on_over_midnight_and_belongs_to_its_start():
    (trip,), days = derived(track("a", at(23), [36] * 120))
    assert trip["day"] == DAY
    assert [(day["day"], day["trips"]) for day in days] == [(DAY, 1), (DAY + ONE_DAY, 0)]


def test_a_trip_that_moves_from_midnight_through_noon_is_cut_at_noon():
    trips, _ = derived(track("a", at(23), [36] * (14 * 60)))
    assert [trip["day"] for trip in trips] == [DAY, DAY + ONE_DAY]
    assert trips[0]["end_ts"] == trips[1]["start_ts"] == at(36).replace(tzinfo=None)


def test_a_trip_that_starts_after_midnight_is_not_cut_at_its_own_noon():
    (trip,), _ = derived(track("a", at(0), [36] * (14 * 60)))
    assert trip["day"] == DAY


def test_days_of_motion_are_cut_each_noon_from_the_second_day_on():
    trips, _ = derived(track("a", at(20), [36] * (4 * 24 * 6), step_s=600), rules=RULES)
    assert [trip["day"] for trip in trips] == [DAY + n * ONE_DAY for n in range(5)]
    assert [t["start_ts"].hour for t in trips[1:]] == [at(12).hour] * 4


def test_without_speed_motion_is_implied_by_positions():
    rows = [row | {"speed_kmh": None} for row in track("a", at(8), [36, 36, 0, 0])]
    (trip,), (day,) = derived(rows)
    assert trip["moving_s"] == 120.0
    assert trip["max_speed_kmh"] is None
    assert day["off_s"] == 60.0


def test_flagged_positions_are_left_out_and_their_records_are_not():
    rows = track("a", at(8), [36, 36, 36, 36, 0])
    rows[2] |= {"lat": 0.0, "lon": 0.0, "flags": 1}
    (trip,), (day,) = derived(rows)
    assert trip["distance_km"] == pytest.approx(2.4, rel=1e-4)
    assert (day["records"], day["flagged"]) == (5, 1)


def test_of_positions_at_one_time_the_first_to_arrive_counts():
    rows = track("a", at(8), [36, 36, 0])
    second = rows[1] | {"record_id": "e:a", "lat": 31.0, "arrival_ts": rows[1]["arrival_ts"] + timedelta(seconds=1)}
    bad = rows[1] | {"record_id": "e:0", "lat": 0.0, "lon": 0.0, "flags": 1, "arrival_ts": rows[1]["ts"]}
    (trip,), (day,) = derived([second, bad, *rows])
    assert trip["distance_km"] == pytest.approx(1.2, rel=1e-4)
    assert trip["records"] == 3
    assert (day["records"], day["flagged"]) == (5, 1)


def test_a_trip_keeps_its_id_when_its_end_comes_to_light():
    rows = track("a", at(8), [36] * 6)
    (short,), _ = derived(rows[:3])
    (long,), _ = derived(rows)
    assert short["trip_id"] == long["trip_id"]
    assert long["records"] > short["records"]


def test_rules_that_reach_over_half_a_day_are_refused():
    with pytest.raises(BadSettings, match="12 h"):
        TripRules(stop_s=3600, gap_s=6 * 3600, moving_kmh=3, time_zone="UTC")


def test_rows_without_a_column_are_refused():
    with pytest.raises(SchemaMismatch, match="odometer_km"):
        derive_table(pa.table({"device_id": ["a"]}), RULES)
