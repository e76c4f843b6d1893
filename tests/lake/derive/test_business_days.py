"""Which business days a change touches."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from lake.derive.business_days import (
    dirtied,
    midnight,
    overlapping,
    runs_of,
    whole_utc_days,
)
from lake.derive.motion.rules import TripRules
from lake.derive.source import spans_of

ZONES = [
    ZoneInfo(name) for name in ("Europe/Berlin", "America/Chicago", "Asia/Kuala_Lumpur", "Africa/Johannesburg", "UTC")
]
DAYS = st.dates(date(2015, 1, 1), date(2027, 1, 1))


def test_a_utc_day_overlaps_two_business_days_west_and_east_of_greenwich():
    assert overlapping(date(2026, 3, 10), ZoneInfo("America/Chicago")) == [date(2026, 3, 9), date(2026, 3, 10)]
    assert overlapping(date(2026, 3, 10), ZoneInfo("Asia/Kuala_Lumpur")) == [date(2026, 3, 10), date(2026, 3, 11)]
    assert overlapping(date(2026, 3, 10), ZoneInfo("UTC")) == [date(2026, 3, 10)]


@given(DAYS, st.sampled_from(ZONES), st.floats(0, 0.999999))
def test_a_change_dirties_exactly_the_business_days_that_depend_on_its_instant(day, zone, share):
    rules = TripRules(stop_s=300, gap_s=3600, moving_kmh=5.0, time_zone=zone.key)
    instant = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=share)
    around = [instant.astimezone(zone).date() + timedelta(days=n) for n in range(-3, 4)]
    depend = {one for one in around for span in spans_of([one], rules) if span.start <= instant < span.end}
    assert dirtied([(instant, instant)], zone, timedelta(seconds=rules.look_back_s)) == depend
    assert 1 <= len(depend) <= 2


@given(DAYS, st.sampled_from(ZONES))
def test_a_change_of_unknown_time_dirties_every_business_day_that_its_utc_day_may_touch(day, zone):
    days = dirtied(whole_utc_days([day]), zone, timedelta(hours=1))
    assert set(overlapping(day, zone)) <= days
    assert len(days) <= 4


@given(st.sets(DAYS, max_size=20))
def test_runs_of_days_hold_each_day_once(days):
    spread = [first + timedelta(days=n) for first, last in runs_of(days) for n in range((last - first).days + 1)]
    assert spread == sorted(days)


def test_midnight_follows_the_clock_change():
    berlin = ZoneInfo("Europe/Berlin")
    assert midnight(date(2026, 3, 30), berlin) - midnight(date(2026, 3, 29), berlin) == timedelta(hours=23)
