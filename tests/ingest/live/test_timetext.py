"""Times as text, a column at once."""

from datetime import datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.live.timetext import MS_DIGITS, ms_digits, time_texts

EPOCH = datetime(1970, 1, 1)
LATEST_MS = 253_402_300_799_999
"""The end of the year 9999."""
times = st.lists(st.integers(0, LATEST_MS), min_size=1)


@given(times)
def test_times_are_the_texts_of_the_standard_library(times_ms: list[int]) -> None:
    texts = [(EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds") + "Z" for ms in times_ms]
    assert time_texts(np.array(times_ms)) == texts


@given(st.lists(st.integers(0, 10**MS_DIGITS - 1)))
def test_digits_are_padded_to_one_width(times_ms: list[int]) -> None:
    rows = [row.tobytes().decode() for row in ms_digits(np.array(times_ms, np.int64))]
    assert rows == [f"{ms:014d}" for ms in times_ms]
