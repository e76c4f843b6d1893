"""Packed hours give back the moments that they were made of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import SchemaMismatch
from lake.derive.motion.moments import Moments
from lake.derive.motion.packing import HOUR_US, hours_of, pack, unpack
from lake.derive.motion.readings import OFF, ON, UNKNOWN

START_US = 1_790_000_000_000_000 // HOUR_US * HOUR_US
READING = st.one_of(st.just(np.nan), st.floats(-1e6, 1e6))


@st.composite
def moments(draw: st.DrawFn) -> Moments:
    ts = draw(st.lists(st.integers(0, 5 * HOUR_US // 1000), unique=True, min_size=1, max_size=30).map(sorted))
    count = len(ts)

    def floats() -> np.ndarray:
        return np.array(draw(st.lists(READING, min_size=count, max_size=count)), np.float64)

    def counts() -> np.ndarray:
        return np.array(draw(st.lists(st.integers(0, 3), min_size=count, max_size=count)), np.int64)

    states = st.lists(st.sampled_from([UNKNOWN, OFF, ON]), min_size=count, max_size=count)
    engine = np.array(draw(states), np.int8)
    times = START_US + np.array(ts, np.int64) * 1000
    return Moments(
        times, floats(), floats(), floats(), floats(), engine, floats(), floats(), counts(), counts(), counts()
    )


@given(moments())
def test_packed_hours_in_order_are_the_moments_again(given: Moments) -> None:
    packed = [pack(hour, part) for hour, part in hours_of(given)]
    again = unpack(packed)
    for name, before, after in zip(Moments._fields, given, again, strict=True):
        np.testing.assert_array_equal(before, after, err_msg=name)
        assert before.dtype == after.dtype, name


def test_a_packed_hour_is_small_where_devices_report_what_most_do() -> None:
    count = 360
    nothing, ones = np.full(count, np.nan), np.ones(count, np.int64)
    ts = START_US + np.arange(count, dtype=np.int64) * 10_000_000
    lat = 48 + np.cumsum(np.full(count, 0.0001)).round(6)
    engine, speed = np.full(count, ON, np.int8), np.full(count, 50.0)
    hour = Moments(ts, lat, lat, speed, nothing, engine, nothing, nothing, ones, 0 * ones, 0 * ones)
    assert len(pack(START_US, hour)) < 20 * count


def test_an_hour_of_another_form_is_refused_by_name() -> None:
    ts = np.array([START_US], np.int64)
    nothing, one = np.array([np.nan]), np.array([1], np.int64)
    value = pack(
        START_US,
        Moments(ts, nothing, nothing, nothing, nothing, one.astype(np.int8), nothing, nothing, one, one, one),
    )
    with pytest.raises(SchemaMismatch, match="form 9"):
        unpack([b"\x09" + value[1:]])
