"""Fewer records, and still the same drive."""

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.trail.thinning import one_in, simplified
from tests.builders.lake import NOON, landing_row, landing_table

POINTS = st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=3, max_size=60)


def track(points: list[tuple[float, float]], step_s: float = 10.0) -> pa.Table:
    rows = [
        landing_row("a", NOON + timedelta(seconds=step_s * n), str(n), lat=lat, lon=lon)
        for n, (lat, lon) in enumerate(points)
    ]
    return landing_table(rows)


def test_one_record_in_a_minute_stays_and_the_last():
    thin = one_in(track([(48.0, 11.0)] * 20), 60)
    assert thin["event_id"].to_pylist() == ["0", "6", "12", "18", "19"]


def test_the_intervals_are_the_same_whatever_part_is_asked_for():
    whole, part = track([(48.0, 11.0)] * 40), track([(48.0, 11.0)] * 40).slice(9)
    kept = set(one_in(whole, 60)["event_id"].to_pylist())
    assert set(one_in(part, 60)["event_id"].to_pylist()) - kept == {"9"}


def test_each_device_is_thinned_by_itself():
    rows = landing_table(
        [
            landing_row(device, NOON + timedelta(seconds=10 * n), f"{device}{n}", lat=48.0, lon=11.0 + n * 1e-3)
            for device in ("a", "b")
            for n in range(9)
        ]
    )
    assert one_in(rows, 60)["event_id"].to_pylist() == ["a0", "a6", "a8", "b0", "b6", "b8"]
    assert simplified(rows, 5)["event_id"].to_pylist() == ["a0", "a8", "b0", "b8"]


def test_a_straight_line_needs_its_ends_and_a_corner_stays():
    line = [(48.0, 11.0 + n * 1e-3) for n in range(50)] + [(48.0 + n * 1e-3, 11.05) for n in range(50)]
    assert simplified(track(line), 5)["event_id"].to_pylist() == ["0", "50", "99"]


def test_a_line_across_180_degrees_is_one_line():
    line = [(-16.8, (179.9 + n * 1e-3 + 180) % 360 - 180) for n in range(200)]
    assert simplified(track(line), 5).num_rows == 2


def test_a_flagged_or_missing_position_is_left_out():
    rows = [landing_row("a", NOON + timedelta(seconds=n), str(n), lat=48.0 + n, lon=11.0) for n in range(5)]
    rows[1] |= {"flags": 1 << 0, "lat": 0.0, "lon": 0.0}
    rows[2] |= {"lat": None}
    assert "2" not in simplified(landing_table(rows), 1)["event_id"].to_pylist()


@given(POINTS, st.floats(1, 50_000))
def test_no_position_is_farther_from_the_line_than_was_asked(points, metres):
    whole, thin = track(points), simplified(track(points), metres)
    scale = 111_194.9
    middle = np.cos(np.radians(np.mean([lat for lat, _ in points])))
    at = {record: n for n, record in enumerate(whole["event_id"].to_pylist())}
    corners = [at[record] for record in thin["event_id"].to_pylist()]
    plane = np.array([(lat * scale, lon * scale * middle) for lat, lon in points])
    for first, last in pairwise(corners):
        along = plane[last] - plane[first]
        length = along @ along
        for point in plane[first : last + 1]:
            share = np.clip((point - plane[first]) @ along / length, 0, 1) if length else 0.0
            assert np.linalg.norm(point - plane[first] - share * along) <= metres + 1e-6


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_records_stay_as_they_are(count):
    few = track([(48.0, 11.0)] * count)
    assert one_in(few, 60).num_rows == simplified(few, 5).num_rows == count


def test_a_million_positions_take_no_recursion():
    steps = np.random.default_rng(3).normal(0, 1e-5, (200_000, 2)).cumsum(axis=0)
    whole = track([(48.0, 11.0)]).slice(0, 1)
    columns = {
        "lat": pa.array(48 + steps[:, 0]),
        "lon": pa.array(11 + steps[:, 1]),
        "flags": pa.array(np.zeros(len(steps), np.int32)),
    }
    assert whole.num_rows == 1
    assert 2 < simplified(pa.table(columns), 20).num_rows < len(steps)
