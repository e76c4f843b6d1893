"""Where partitions begin: the region table's `first_day`, else the region's first data, as DAGSTER_HOME remembers it.

Definitions load without a connection, so the first data cannot be looked up while loading. A sensor records it once,
in a file below DAGSTER_HOME, and the next load of the definitions reads it. It never changes after that: a first day
that moved would show days as missing that were derived as part of the first partition. Until it is recorded, partitions
begin at the earliest day that any record may have; every day has its own partition then, under the same key as later.
"""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
from dagster import DailyPartitionsDefinition

from assets.partitions import FirstPartitions, RegionPartitions, daily, first_day, region_partitions
from assets.work import FirstData
from contracts.regions import Region, load_regions


def partitions_for(region: Region) -> RegionPartitions:
    """The partitions of the region's assets."""
    return region_partitions(region, recorded(region.name))


def world_partitions() -> DailyPartitionsDefinition:
    """Days of the world view, by date: from the earliest first day of any region that has one."""
    known = [first_day(partitions_for(region).days) for region in load_regions().values() if _is_known(region)]
    return daily(min(known, default=FirstPartitions().day), "UTC")


def record_first(region: Region, first_data: Callable[[], FirstData | None]) -> None:
    """Record where the region's data begins, if the table does not say it and it is not recorded yet."""
    path = _path(region.name)
    if path is None or _is_known(region) or (first := first_data()) is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_bytes(msgspec.json.encode(FirstPartitions(first.day, first.hour)))
    fresh.replace(path)


def recorded(region: str) -> FirstPartitions | None:
    """What was recorded for the region."""
    path = _path(region)
    if path is None or not path.exists():
        return None
    return msgspec.json.decode(path.read_bytes(), type=FirstPartitions)


def _is_known(region: Region) -> bool:
    return region.first_day is not None or recorded(region.name) is not None


def _path(region: str) -> Path | None:
    home = os.environ.get("DAGSTER_HOME")
    return Path(home) / "first_partitions" / f"{region}.json" if home else None
