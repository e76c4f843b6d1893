"""Due partitions as ranges of runs."""

from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from typing import TypeVar

Point = TypeVar("Point", date, datetime)

JOIN_DAYS = timedelta(days=366)
JOIN_HOURS = timedelta(days=31)
"""Gaps up to this are bridged: a run costs a Spark session and a dbt build whatever it covers, and skips by itself what
is not due. Only ages apart are runs of their own."""


def spans(points: Iterable[Point], join: timedelta) -> list[tuple[Point, Point]]:
    """The fewest (first, last) ranges that hold all points and bridge no gap longer than `join`, oldest first."""
    ranges: list[tuple[Point, Point]] = []
    for point in sorted(set(points)):
        if ranges and point - ranges[-1][1] <= join:
            ranges[-1] = (ranges[-1][0], point)
        else:
            ranges.append((point, point))
    return ranges


def range_tags(span: tuple[Point, Point], key: Callable[[Point], str]) -> dict[str, str]:
    """Dagster's tags for a run over a range of partitions."""
    first, last = span
    return {"dagster/asset_partition_range_start": key(first), "dagster/asset_partition_range_end": key(last)}
