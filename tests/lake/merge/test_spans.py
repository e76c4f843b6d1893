"""Literal ranges of event time."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.names import landing_key
from lake.merge.spans import Span, day_span, hour_of_key, joined, on_time_span, sql_condition

START = datetime(2026, 3, 10, tzinfo=UTC)
SPANS = st.lists(
    st.tuples(st.integers(0, 500), st.integers(1, 30)).map(
        lambda pair: Span(START + timedelta(hours=pair[0]), START + timedelta(hours=pair[0] + pair[1]))
    ),
    min_size=1,
    max_size=60,
)


@given(SPANS, st.integers(1, 50))
def test_joined_spans_cover_the_same_times_in_order_and_are_few(spans, most):
    result = joined(spans, most)
    assert len(result) <= most
    assert all(one.end < other.start for one, other in pairwise(result))
    assert all(any(made.start <= span.start and span.end <= made.end for made in result) for span in spans)
    if most == 50 and len(result) < most:
        assert sum((s.end - s.start for s in result), timedelta()) <= sum((s.end - s.start for s in spans), timedelta())


def test_neighbouring_hours_become_one_span():
    hours = [START + timedelta(hours=n) for n in range(5)]
    (span,) = joined(on_time_span(hour) for hour in hours)
    assert span == Span(START - timedelta(minutes=10), START + timedelta(hours=5, minutes=5))


def test_a_condition_is_literal_and_half_open():
    from_midnight = "t.ts >= TIMESTAMP '2026-03-10 00:00:00.000000+00:00'"
    to_midnight = "t.ts < TIMESTAMP '2026-03-11 00:00:00.000000+00:00'"
    assert sql_condition("t.ts", [day_span(date(2026, 3, 10))]) == f"(({from_midnight} AND {to_midnight}))"


def test_a_key_tells_its_hour():
    assert hour_of_key(landing_key(START + timedelta(hours=7), "shardId-0", "1", "2", 3)) == START + timedelta(hours=7)
    with pytest.raises(ValueError, match="is not a key"):
        hour_of_key("landing/other")
