import itertools
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from orchestration.partition_ranges import range_tags, spans

DAYS = st.lists(st.dates(min_value=date(2000, 1, 1), max_value=date(2030, 1, 1)), max_size=40)


@given(DAYS, st.integers(min_value=0, max_value=400))
def test_every_due_day_is_in_exactly_one_span_and_no_span_bridges_more_than_it_may(days, gap):
    join = timedelta(days=gap)
    found = spans(days, join)

    assert all(sum(first <= day <= last for first, last in found) == 1 for day in days)
    assert all(later[0] - earlier[1] > join for earlier, later in itertools.pairwise(found))
    assert {edge for span in found for edge in span} <= set(days)


def test_a_span_is_a_range_of_partition_keys():
    (span,) = spans([date(2026, 1, 3), date(2026, 1, 1)], timedelta(days=5))

    assert list(range_tags(span, date.isoformat).values()) == ["2026-01-01", "2026-01-03"]
