"""Points as JSON of one width."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.record import EARLIEST_TS_MS, READINGS
from ingest.live.points import POINT_BYTES, point_texts

DECIMALS = {"lat": 7, "lon": 7, "speed_kmh": 2, "heading_deg": 1}
BOUNDS = {reading.name: (reading.low, reading.high) for reading in READINGS}


def reading(name: str) -> st.SearchStrategy[float]:
    low, high = BOUNDS[name]
    edges = [low, high, 0.0, -0.0, -1e-8, 4e-8, -0.05, 9.99999996, 99.9951, float("nan"), low - 0.1, high + 0.1]
    return st.one_of(st.floats(low, high), st.sampled_from(edges))


points = st.lists(
    st.tuples(st.integers(EARLIEST_TS_MS, 9_999_999_999_999), *(reading(name) for name in DECIMALS)), min_size=1
)


@given(points)
def test_a_point_says_what_the_record_says_to_its_decimals(rows: list[tuple[float, ...]]) -> None:
    times = np.array([row[0] for row in rows], np.int64)
    columns = {name: [row[1 + place] for row in rows] for place, name in enumerate(DECIMALS)}
    texts = point_texts(pa.RecordBatch.from_pydict(columns), np.arange(len(rows)), times)
    assert {len(text) for text in texts} == {POINT_BYTES}
    for place, text in enumerate(texts):
        point = json.loads(text)
        assert list(point) == ["ts", *DECIMALS]
        assert point["ts"] == times[place]
        for name, decimals in DECIMALS.items():
            value, (low, high) = columns[name][place], BOUNDS[name]
            if low <= value <= high:
                assert point[name] == pytest.approx(value, abs=0.5000001 * 10**-decimals, rel=1e-12)
            else:
                assert point[name] is None


def test_a_reading_that_no_record_has_is_null() -> None:
    rows = pa.RecordBatch.from_arrays(
        [pa.array([1.5]), pa.array([2.5]), pa.nulls(1, pa.float64()), pa.nulls(1, pa.float64())], list(DECIMALS)
    )
    (text,) = point_texts(rows, np.array([0]), np.array([1_795_420_800_000]))
    assert json.loads(text) == {
        "ts": 1_795_420_800_000, "lat": 1.5, "lon": 2.5, "speed_kmh": None, "heading_deg": None
    }  # fmt: skip
