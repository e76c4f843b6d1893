"""When late rows are worth a merge."""

from datetime import UTC, date, datetime, timedelta

import pytest

from lake.intake import due_merges, intake
from lake.merge.stragglers import Waiting, over_share
from tests.builders.lake import NOON, landing_row

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


def late_object(landing, committed: datetime) -> None:
    rows = [landing_row("d", LATE, "late", arrival_ts=NOON), landing_row("d", NOON, "on-time")]
    landing.land(rows, committed=committed)
    intake(landing.settings)


def test_a_straggler_of_a_new_day_is_due_at_once(landing):
    late_object(landing, NOON)
    due = due_merges(landing.settings, now=NOON)
    assert due.hours == [NOON]
    assert due.stragglers


def test_an_hour_without_stragglers_asks_for_none(landing):
    landing.land([landing_row("d", NOON, "1")])
    intake(landing.settings)
    assert not due_merges(landing.settings).stragglers
