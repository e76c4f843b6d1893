"""The spans of time that requests name."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from contracts.errors import Misuse
from serving.problems import BadRequest


def span(first: str, last: str, zone: ZoneInfo, most: timedelta | None = None) -> tuple[datetime, datetime]:
    """start <= ts < end of two texts. Raises BadRequest."""
    from lake.trail.times import time_range

    try:
        # A plus sign in a query that was not encoded is a space.
        start, end = (one for one in time_range(first.replace(" ", "+"), last.replace(" ", "+"), zone))
    except Misuse as error:
        raise BadRequest(str(error).replace("--", "")) from error
    if most is not None and end - start > most:
        raise BadRequest(f"the span is longer than {most.total_seconds() / 86_400:g} days; ask for less at once")
    return start, end


def day_of(text: str, name: str) -> date:
    """A day of the calendar. Raises BadRequest."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"{name}: this is no day; write it as 2026-11-01") from None


def moment_of(text: str | None, name: str) -> datetime | None:
    """A moment with an offset. Raises BadRequest."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadRequest(f"{name}: write a time with an offset, such as 2026-11-01T09:00:00Z")
    return moment
