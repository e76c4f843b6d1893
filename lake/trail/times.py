"""The times that a person gives to a spot query."""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from contracts.errors import Misuse

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def time_range(first: str, last: str, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The range start <= ts < end, in UTC, of two texts as people write them.

    Each is a date, which stands for the whole business day in `zone` (so the same date twice is that day), or a
    date and time with an offset such as 2026-11-01T08:00:00+01:00 or ...Z. Raises Misuse.
    """
    start = _start_of_day(first, zone, "--from") if _DATE.fullmatch(first) else _instant(first, "--from")
    end = _start_of_day(last, zone, "--to", days=1) if _DATE.fullmatch(last) else _instant(last, "--to")
    if end <= start:
        raise Misuse(f"--to {last} is not after --from {first}; swap them")
    return start, end


def _start_of_day(text: str, zone: ZoneInfo, option: str, days: int = 0) -> datetime:
    try:
        day = date.fromisoformat(text) + timedelta(days=days)
        return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Misuse(f"{option} {text!r} is no day of the calendar; write it as 2026-11-01") from None


def _instant(text: str, option: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise Misuse(
            f"{option} {text!r} is no time; write a date such as 2026-11-01 or a time such as 2026-11-01T08:00:00Z"
        ) from None
    if instant.tzinfo is None:
        raise Misuse(f"{option} {text!r} has no offset; add Z for UTC, or one such as +01:00")
    return instant.astimezone(UTC)
