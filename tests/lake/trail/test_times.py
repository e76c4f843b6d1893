"""What people may write for --from and --to."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from contracts.errors import Misuse
from lake.trail.times import time_range

BERLIN = ZoneInfo("Europe/Berlin")


def test_a_date_is_the_business_day_of_the_region() -> None:
    start, end = time_range("2026-11-02", "2026-11-02", BERLIN)
    assert start == datetime(2026, 11, 1, 23, tzinfo=UTC)
    assert end == datetime(2026, 11, 2, 23, tzinfo=UTC)


def test_a_day_of_a_clock_change_has_its_true_length() -> None:
    start, end = time_range("2026-10-25", "2026-10-25", BERLIN)
    assert (end - start).total_seconds() == 25 * 3600


def test_a_time_with_an_offset_is_taken_as_it_stands() -> None:
    start, end = time_range("2026-11-02T08:00:00+01:00", "2026-11-02T07:30:00Z", BERLIN)
    assert (start, end) == (datetime(2026, 11, 2, 7, tzinfo=UTC), datetime(2026, 11, 2, 7, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        ("2026-11-02T08:00:00", "2026-11-03", "no offset"),
        ("yesterday", "2026-11-03", "is no time"),
        ("2026-02-30", "2026-11-03", "no day of the calendar"),
        ("2026-11-03", "2026-11-02", "is not after"),
        ("2026-11-02T08:00:00Z", "2026-11-02T08:00:00Z", "is not after"),
    ],
)
def test_what_cannot_be_is_misuse_and_says_why(first: str, last: str, said: str) -> None:
    with pytest.raises(Misuse, match=said):
        time_range(first, last, BERLIN)
