"""Partitions: landing and history by arrival hour in UTC, everything after by business day of the region.

Definitions of partitions live here and not in orchestration, since assets need them and import nothing above them.

A region's partitions begin with its data. What is older than the first partition belongs to the first partition: a
device may send what it kept for years, or with a clock that was reset, and such a day needs no partition of its own.
The newest partition is the running hour or day: a day that has not begun is not derived.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta

import msgspec
from dagster import AssetExecutionContext, DailyPartitionsDefinition, HourlyPartitionsDefinition

from assets.keys import DUE_ONLY, OLDER_DAYS
from contracts.record import EARLIEST_TS_MS
from contracts.regions import Region

HOUR_FORMAT = "%Y-%m-%d-%H:%M"
DAY_FORMAT = "%Y-%m-%d"
EARLIEST_ARRIVAL = datetime(2024, 1, 1, tzinfo=UTC)
"""No deployment received anything before this hour."""
EARLIEST_DAY = datetime.fromtimestamp(EARLIEST_TS_MS / 1000, UTC).date() - timedelta(days=3)
"""No record changes an earlier business day: event times begin at EARLIEST_TS_MS, a day later at most in some zone, and
a record changes the neighbours of its day too."""


class FirstPartitions(msgspec.Struct, frozen=True):
    """Where partitions begin."""

    day: date = EARLIEST_DAY
    hour: datetime = EARLIEST_ARRIVAL


class RegionPartitions(msgspec.Struct, frozen=True):
    """The partitions definitions of a region's assets."""

    hours: HourlyPartitionsDefinition
    days: DailyPartitionsDefinition


def region_partitions(region: Region, recorded: FirstPartitions | None = None) -> RegionPartitions:
    """The region's partitions: from its `first_day`, else as `recorded` from its data, else from the earliest day."""
    first = _from_table(region) or recorded or FirstPartitions()
    hours = HourlyPartitionsDefinition(start_date=first.hour, fmt=HOUR_FORMAT, end_offset=1)
    return RegionPartitions(hours, daily(first.day, region.time_zone))


def daily(first: date, time_zone: str) -> DailyPartitionsDefinition:
    """Business days in that zone, from `first` to today."""
    return DailyPartitionsDefinition(
        start_date=first.strftime(DAY_FORMAT), timezone=time_zone, fmt=DAY_FORMAT, end_offset=1
    )


def _from_table(region: Region) -> FirstPartitions | None:
    if region.first_day is None:
        return None
    midnight = datetime.combine(region.first_day, time(0), region.zone).astimezone(UTC)
    return FirstPartitions(region.first_day, midnight.replace(minute=0))


def hour_key(hour: datetime) -> str:
    """The partition key of an arrival hour."""
    return hour.astimezone(UTC).strftime(HOUR_FORMAT)


def day_key(day: date) -> str:
    """The partition key of a business day."""
    return day.isoformat()


def first_day(days: DailyPartitionsDefinition) -> date:
    """The day that the first partition is named after."""
    return days.start.date()


def partition_of(day: date, days: DailyPartitionsDefinition) -> date:
    """The day whose partition holds `day`: its own, or the first for a day before that."""
    return max(day, first_day(days))


def partitions_of(wanted: Iterable[date], days: DailyPartitionsDefinition) -> list[date]:
    """The days whose partitions hold the days that are wanted, in order. A day that has not begun has none yet."""
    today = date.fromisoformat(days.get_last_partition_key() or day_key(date.min))
    return sorted({partition_of(day, days) for day in wanted if partition_of(day, days) <= today})


def own_partitions(wanted: Iterable[date], days: DailyPartitionsDefinition) -> list[date]:
    """Those of the days that have a partition of their own, for metadata that is about one day."""
    return [day for day in wanted if day >= first_day(days)]


def hour_partitions_of(wanted: Iterable[datetime], hours: HourlyPartitionsDefinition) -> list[datetime]:
    """The hours whose partitions hold the arrival hours that are wanted, in order."""
    return sorted({max(hour, hours.start.astimezone(UTC)) for hour in wanted})


def hours_of_run(context: AssetExecutionContext) -> list[datetime]:
    """The arrival hours that the run's partitions are named after, in order."""
    return [datetime.strptime(key, HOUR_FORMAT).replace(tzinfo=UTC) for key in context.partition_keys]


def hours_in_run(
    context: AssetExecutionContext, hours: HourlyPartitionsDefinition, due: Iterable[datetime]
) -> list[datetime]:
    """Those of the `due` hours that the run's partitions hold, in order."""
    covered = set(hours_of_run(context))
    return sorted(hour for hour in set(due) if max(hour, hours.start.astimezone(UTC)) in covered)


def days_in_run(context: AssetExecutionContext, days: DailyPartitionsDefinition, wanted: Iterable[date]) -> list[date]:
    """Those of the days that the run covers, in order.

    A run that a person launched covers all days that its partitions hold. A sensor's run covers the days that its
    partitions are named after, or those of its tag OLDER_DAYS: marts are rebuilt by range, and a range from a day years
    ago until today would rebuild days that did not change.
    """
    if OLDER_DAYS in context.run.tags:
        first, _, last = context.run.tags[OLDER_DAYS].partition(" to ")
        return sorted(day for day in set(wanted) if first <= day_key(day) <= last)
    named = _named(context)
    if DUE_ONLY in context.run.tags:
        return sorted(set(wanted) & named)
    return sorted(day for day in set(wanted) if partition_of(day, days) in named)


def days_of_run(
    context: AssetExecutionContext,
    days: DailyPartitionsDefinition,
    *,
    due: Callable[[], Iterable[date]],
    known: Callable[[], Iterable[date]],
) -> list[date]:
    """The business days that a run works on, in order: of a sensor's run those that are still due.

    Of a run that a person launched, the days that its partitions are named after and all days `known` that they hold.
    """
    if DUE_ONLY in context.run.tags:
        return days_in_run(context, days, due())
    named = _named(context)
    older = {day for day in known() if day < first_day(days)} if first_day(days) in named else set()
    return sorted(named | older)


def _named(context: AssetExecutionContext) -> set[date]:
    """The days that the run's partitions are named after."""
    return {date.fromisoformat(key) for key in context.partition_keys}
