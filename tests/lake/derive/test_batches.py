"""Many stale days are derived in batches, today first."""

from collections import Counter
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from lake.derive.batches import MOST_DAYS, in_batches

TODAY = date(2026, 9, 21)
DAYS = st.sets(st.integers(0, 2000).map(lambda n: TODAY - timedelta(days=n)), max_size=300)


@given(DAYS, st.integers(1, 500))
def test_each_day_is_in_one_batch_that_is_not_too_large(days, most_rows):
    rows = {day: day.toordinal() % 97 for day in days}
    batches = in_batches(days, rows, most_rows)
    assert Counter(day for batch in batches for day in batch) == Counter(days)
    for batch in batches:
        assert len(batch) <= MOST_DAYS
        assert len(batch) == 1 or sum(rows[day] for day in batch) <= most_rows
    assert [max(batch) for batch in batches] == sorted((max(batch) for batch in batches), reverse=True)


def test_today_comes_first_and_alone():
    late = [TODAY - timedelta(days=n) for n in range(1, 1094)]
    batches = in_batches({TODAY, *late}, {}, 10, first=[TODAY])
    assert batches[0] == [TODAY]
    assert len(batches) == 1 + -(-len(late) // MOST_DAYS)


def test_no_days_are_no_batch():
    assert in_batches([], {}, 10, first=[TODAY]) == []
