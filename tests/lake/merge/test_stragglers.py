"""When late rows are worth a merge."""

from datetime import UTC, date, datetime, timedelta

import pytest

from lake.iceberg.tables import history
from lake.merge.intake import due_merges, intake
from lake.merge.stragglers import Waiting, over_share
from tests.builders.lake import NOON, drive, landing_row, landing_table

DAY = date(2026, 3, 10)
LATE = NOON - timedelta(days=1)


def waiting(key: str, rows: int, first: date = DAY, last: date = DAY) -> Waiting:
    moment = datetime(2026, 3, 12, tzinfo=UTC)
    return Waiting(key, moment, rows, first, last, moment)


@pytest.mark.parametrize(("rows", "due"), [(49, False), (51, True)])
def test_stragglers_are_due_when_they_exceed_their_share_of_the_day(rows, due):
    assert bool(over_share([waiting("a", rows)], {DAY: 1000}, 0.05)) is due


def test_the_share_counts_all_that_wait_for_a_day():
    both = [waiting("a", 30), waiting("b", 30)]
    assert over_share(both, {DAY: 1000}, 0.05) == both
    assert over_share(both[:1], {DAY: 1000}, 0.05) == []


def test_a_day_that_history_does_not_know_is_due_at_once():
    assert over_share([waiting("a", 1)], {DAY - timedelta(days=1): 1000}, 0.05) != []


def test_a_due_day_does_not_take_other_days_along():
    other = DAY - timedelta(days=3)
    due = over_share([waiting("a", 60), waiting("b", 1, other, other)], {DAY: 1000, other: 1000}, 0.05)
    assert [item.key for item in due] == ["a"]


def test_a_very_old_record_does_not_make_its_object_due_at_every_look():
    old = date(2000, 1, 1)
    rows = {old: 5, old + timedelta(days=3000): 2000, DAY: 1_000_000}
    objects = [waiting(str(n), 500, first=old) for n in range(90)]
    assert over_share(objects, rows, 0.05) == []
    assert all(item.days == [old, DAY] for item in objects)
    more = [waiting(str(n), 500, first=old) for n in range(101)]
    assert over_share(more, rows, 0.05) == more  # the last day may be all of theirs


def test_a_range_of_some_days_counts_towards_each_of_them():
    between = DAY - timedelta(days=2)
    rows = {DAY - timedelta(days=5): 100_000, between: 1000, DAY: 100_000}
    assert over_share([waiting("a", 60, first=DAY - timedelta(days=5))], rows, 0.05) != []


def test_a_small_day_is_due_where_no_large_one_has_to_be_merged_with_it():
    old = DAY - timedelta(days=9)
    rows = {old: 10, DAY: 1_000_000}
    alone, along = waiting("a", 5, old, old), waiting("b", 5, old)
    assert over_share([alone, along], rows, 0.05) == [alone]


def late_object(landing, committed: datetime) -> None:
    rows = [landing_row("d", LATE, "late", arrival_ts=NOON), landing_row("d", NOON, "on-time")]
    landing.land(rows, committed=committed)
    intake(landing.settings)


def test_a_straggler_of_a_new_day_is_due_at_once(landing):
    late_object(landing, NOON)
    due = due_merges(landing.settings, now=NOON, open_hours=True)
    assert due.hours == [NOON]
    assert due.straggler_hours == [NOON]


def test_stragglers_are_due_when_the_leases_say_that_their_day_of_arrival_closed(landing):
    """ops.watermarks has no row: no consumer runs."""
    history(landing.settings).append(landing_table(drive("d", LATE, 100)))
    late_object(landing, NOON)
    assert not due_merges(landing.settings, now=NOON, open_hours=True).stragglers
    landing.land([landing_row("d", NOON, "next")], committed=NOON + timedelta(days=1))
    assert due_merges(landing.settings, now=NOON, open_hours=True).straggler_hours == [NOON]


def test_an_hour_without_stragglers_asks_for_none(landing):
    landing.land([landing_row("d", NOON, "1")])
    intake(landing.settings)
    assert not due_merges(landing.settings, open_hours=True).stragglers
