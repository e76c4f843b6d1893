"""What is due for each sensor, as ranges of partitions to run."""

from collections.abc import Callable
from datetime import date

from dagster import DailyPartitionsDefinition

from assets.keys import OLDER_DAYS, OPEN_HOURS
from assets.landing import landed_events
from assets.partitions import (
    RegionPartitions,
    day_key,
    first_day,
    hour_key,
    hour_partitions_of,
    partition_of,
    partitions_of,
)
from assets.work import Deriving, FirstData, Loading, Merging, Releasing
from contracts.regions import Region
from orchestration.partition_ranges import JOIN_DAYS, JOIN_HOURS, range_tags, spans
from orchestration.sensors import DueWork


def to_merge(region: Region, partitions: RegionPartitions, merging: Merging, open_hours: bool = False) -> DueWork:
    """Arrival hours with rows that history lacks, with `open_hours` those too that still grow.

    Any run merges the stragglers that are due; where nothing else is due, it runs over their newest hour.
    """
    merging.take_in()
    due = merging.due_merges(open_hours=open_hours)
    hours = hour_partitions_of(due.hours or due.straggler_hours[-1:], partitions.hours)
    also = {OPEN_HOURS: "true"} if open_hours else {}
    ranges = [range_tags(span, hour_key) | also for span in spans(hours, JOIN_HOURS)]
    landed = sorted({*due.hours, *due.straggler_hours})
    return DueWork(ranges, landed_events(region.name, merging, landed, partitions.hours))


def to_derive(
    partitions: RegionPartitions, record: Callable[[Callable[[], FirstData | None]], None], deriving: Deriving
) -> DueWork:
    """Business days whose trips and device days are behind history.

    record: given a way to ask where the data begins, keeps the answer for the next load of the definitions.
    """
    deriving.harvest()
    record(deriving.first_data)
    return DueWork(day_ranges(deriving.due_days(), partitions.days))


def to_load(partitions: RegionPartitions, loading: Loading) -> DueWork:
    """Business days that were derived and that staging or the marts lack."""
    return DueWork(day_ranges([*loading.due_loads(), *loading.due_marts()], partitions.days))


def to_publish(partitions: RegionPartitions, releasing: Releasing) -> DueWork:
    """Business days that are old enough to leave the region."""
    return DueWork(day_ranges(releasing.due_releases(), partitions.days))


def day_ranges(days: list[date], partitions: DailyPartitionsDefinition) -> list[dict[str, str]]:
    """The tags of the runs that cover these days; days that have not begun are left out.

    A run of days before the first partition is a run over that partition, which names its days in a tag.
    """
    first = first_day(partitions)
    begun = [day for day in days if partitions_of([day], partitions)]
    ranges = []
    for start, end in spans(begun, JOIN_DAYS):
        tags = range_tags((partition_of(start, partitions), partition_of(end, partitions)), day_key)
        ranges.append(tags if start >= first else tags | {OLDER_DAYS: f"{day_key(start)} to {day_key(end)}"})
    return ranges
