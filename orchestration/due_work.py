"""What each sensor of a region asks, and how the answer becomes ranges of partitions."""

from datetime import date

from assets.landing import landed_events
from assets.partitions import FIRST_ARRIVAL, day_key, days_of, existing, hour_key
from assets.work import RegionWork
from contracts.regions import Region
from orchestration.partition_ranges import (
    JOIN_DAYS,
    JOIN_HOURS,
    range_tags,
    spans,
)
from orchestration.sensors import DueWork


def to_merge(region: Region, work: RegionWork) -> DueWork:
    """Arrival hours with rows that history lacks. Due stragglers come with any run, or of their newest hour."""
    work.take_in()
    due = work.due_merges()
    hours = [hour for hour in due.hours if hour >= FIRST_ARRIVAL]
    late = [hour for hour in due.straggler_hours if hour >= FIRST_ARRIVAL]
    ranges = [range_tags(span, hour_key) for span in spans(hours or late[-1:], JOIN_HOURS)]
    return DueWork(ranges, landed_events(region.name, work, sorted({*hours, *late})))


def to_derive(region: Region, work: RegionWork) -> DueWork:
    """Business days whose trips and device days are behind history."""
    work.harvest()
    days = existing(work.due_days(), days_of(region))
    return DueWork(_day_ranges(days))


def to_load(region: Region, work: RegionWork) -> DueWork:
    """Business days that were derived and that staging or the marts lack."""
    return DueWork(_day_ranges(existing([*work.due_loads(), *work.due_marts()], days_of(region))))


def to_publish(region: Region, work: RegionWork) -> DueWork:
    """Business days that are old enough to leave the region."""
    return DueWork(_day_ranges(existing(work.due_releases(), days_of(region))))


def _day_ranges(days: list[date]) -> list[dict[str, str]]:
    return [range_tags(span, day_key) for span in spans(days, JOIN_DAYS)]
