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


def dirtied(utc_days: Iterable[date], zone: ZoneInfo) -> set[date]:
    """The business days to derive again after a change on these UTC days: each they overlap, and its neighbours.

    A day's trips may reach to the next noon and depend on what moved just before midnight (docs/adr/0023).
    """
    own = {day for utc_day in utc_days for day in overlapping(utc_day, zone)}
    return {day + ONE_DAY * step for day in own for step in (-1, 0, 1)}


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The UTC instant at which the business day begins."""
    return datetime.combine(day, time(0), zone).astimezone(UTC)


def noon(day: date, zone: ZoneInfo) -> datetime:
    """The UTC instant of the business day's local noon."""
    return datetime.combine(day, NOON, zone).astimezone(UTC)


def runs_of(days: Iterable[date]) -> list[tuple[date, date]]:
    """First and last day of each stretch of consecutive days."""
    stretches: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if stretches and day - stretches[-1][1] == ONE_DAY:
            stretches[-1] = (stretches[-1][0], day)
        else:
            stretches.append((day, day))
    return stretches
