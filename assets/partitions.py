"""Partitions: landing and history by arrival hour in UTC, everything after by business day of the region."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from dagster import AssetExecutionContext, DailyPartitionsDefinition, HourlyPartitionsDefinition

from contracts.record import EARLIEST_TS_MS
from contracts.regions import Region

FIRST_ARRIVAL = datetime(2024, 1, 1, tzinfo=UTC)
"""No deployment received anything before this hour."""
DAYS_BEFORE = 3
DAYS_AHEAD = 3
HOUR_FORMAT = "%Y-%m-%d-%H:%M"
DAY_FORMAT = "%Y-%m-%d"

ARRIVAL_HOURS = HourlyPartitionsDefinition(start_date=FIRST_ARRIVAL, fmt=HOUR_FORMAT, end_offset=1)
"""Hours of arrival, UTC. The running hour is one of them: it is merged as it fills."""


def business_days(time_zone: str) -> DailyPartitionsDefinition:
    """Days in that zone, from three before the earliest event time that the record contract allows until three ahead.

    Old days are there because a device may send what it kept for years, or a clock that was reset. Days beyond both
    ends are there because a record's UTC day begins the day before or ends the day after in some zone, and makes the
    neighbours of these days stale too.
    """
    first = datetime.fromtimestamp(EARLIEST_TS_MS / 1000, UTC) - timedelta(days=DAYS_BEFORE)
    start = first.strftime(DAY_FORMAT)
    return DailyPartitionsDefinition(start_date=start, timezone=time_zone, fmt=DAY_FORMAT, end_offset=1 + DAYS_AHEAD)


def days_of(region: Region) -> DailyPartitionsDefinition:
    """The region's business days."""
    return business_days(region.time_zone)


WORLD_DAYS = business_days("UTC")
"""Business days of any region, by date."""


def hour_key(hour: datetime) -> str:
    """The partition of an arrival hour."""
    return hour.astimezone(UTC).strftime(HOUR_FORMAT)


def day_key(day: date) -> str:
    """The partition of a business day."""
    return day.isoformat()


def hours_in(context: AssetExecutionContext) -> list[datetime]:
    """The arrival hours that a run covers, in order."""
    return [datetime.strptime(key, HOUR_FORMAT).replace(tzinfo=UTC) for key in context.partition_keys]


def days_in(context: AssetExecutionContext) -> list[date]:
    """The business days that a run covers, in order."""
    return [date.fromisoformat(key) for key in context.partition_keys]


def existing(days: Iterable[date], partitions: DailyPartitionsDefinition) -> list[date]:
    """Those of `days` that are partitions by now, sorted; a day that has not begun waits for its partition."""
    first, last = partitions.get_first_partition_key(), partitions.get_last_partition_key()
    return sorted(day for day in set(days) if first and last and first <= day_key(day) <= last)
