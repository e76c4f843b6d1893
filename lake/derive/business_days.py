"""Business days of a region against UTC, by its time zone."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

ONE_DAY = timedelta(days=1)
NOON = time(12)


def overlapping(utc_day: date, zone: ZoneInfo) -> list[date]:
    """The business days that share an instant with a UTC day: one or two."""
    start = datetime(utc_day.year, utc_day.month, utc_day.day, tzinfo=UTC)
    first = start.astimezone(zone).date()
    last = (start + ONE_DAY - timedelta(microseconds=1)).astimezone(zone).date()
    return [first + ONE_DAY * n for n in range((last - first).days + 1)]


def dirtied(spans: Iterable[tuple[datetime, datetime]], zone: ZoneInfo, look_back: timedelta) -> set[date]:
    """The business days to derive again after changes between these pairs of instants, both inclusive.

    A day depends on the times from `look_back` before its midnight to the next noon (docs/adr/0023). So a change in the
    afternoon touches its own day alone, one in the morning the day before too, one before midnight the day after.
    """
    days: set[date] = set()
    for first, last in spans:
        day = first.astimezone(zone).date()
        if first <= noon(day, zone):
            day -= ONE_DAY
        while midnight(day, zone) - look_back <= last:
            days.add(day)
            day += ONE_DAY
    return days


def whole_utc_days(days: Iterable[date]) -> list[tuple[datetime, datetime]]:
    """The first and the last microsecond of each of these UTC days."""
    starts = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days]
    return [(start, start + ONE_DAY - timedelta(microseconds=1)) for start in starts]


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The UTC instant at which the business day begins."""
    return datetime.combine(day, time(0), zone).astimezone(UTC)


def noon(day: date, zone: ZoneInfo) -> datetime:
    """The UTC instant of the business day's local noon."""
    return datetime.combine(day, NOON, zone).astimezone(UTC)


def inner_days(start: datetime | None, end: datetime | None, zone: ZoneInfo) -> tuple[date | None, date | None]:
    """The business days that lie wholly in [start, end): the first, and the first that does not any more."""
    first = None if start is None else start.astimezone(zone).date()
    if start is not None and first is not None and midnight(first, zone) < start:
        first += ONE_DAY
    return first, None if end is None else end.astimezone(zone).date()


def runs_of(days: Iterable[date]) -> list[tuple[date, date]]:
    """First and last day of each stretch of consecutive days."""
    stretches: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if stretches and day - stretches[-1][1] == ONE_DAY:
            stretches[-1] = (stretches[-1][0], day)
        else:
            stretches.append((day, day))
    return stretches
