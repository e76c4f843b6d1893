"""The region table: one row a jurisdiction, read from regions.toml."""

import os
import re
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from contracts.errors import BadRegionTable, UnknownRegion

WORLD = "world"
_NAME = re.compile(r"[a-z][a-z0-9]{0,15}")


_WORKERS = {1: (2, 8, 1), 2: (4, 16, 1), 4: (8, 30, 1), 8: (16, 60, 4), 16: (32, 120, 8)}
"""Workers that EMR Serverless has: cores to the least and most GiB, and the step between (its guide, worker sizes)."""


class SparkSizes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The workers that a region's Spark jobs run on where Spark is a cluster. A worker's GiB are all that it has."""

    driver_cores: int = 2
    driver_gib: int = 8
    executor_cores: int = 4
    executor_gib: int = 16
    executors: int = 2
    """Executors that a job starts with."""
    most_executors: int = 8


class Region(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One jurisdiction: where its data lives and which rules bind it."""

    name: str
    aws_region: str
    time_zone: str
    legal_regime: str
    retention_days: int
    stream_shards: int
    history_buckets: int
    first_day: date | None = None
    """The business day with which the region's partitions begin; without it they begin with the region's first data."""
    spark: SparkSizes = SparkSizes()
    controller: str = ""
    """Who decides on the purposes, and how to reach them: for the record of processing (GDPR Art. 30(1)(a))."""
    privacy_contact: str = ""
    """The data protection officer, or whom data subjects write to."""

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the region's business days."""
        return ZoneInfo(self.time_zone)


def default_regions_file() -> Path:
    """regions.toml as FLEETLAKE_REGIONS_FILE names it, else the one at the project's top."""
    named = os.environ.get("FLEETLAKE_REGIONS_FILE")
    return Path(named) if named else Path(__file__).resolve().parent.parent / "regions.toml"


def load_regions(path: Path | None = None) -> dict[str, Region]:
    """All regions by name, in the file's order.

    Raises BadRegionTable where the file is missing, is not TOML, or a row is incomplete or impossible.
    """
    path = path or default_regions_file()
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise BadRegionTable(f"no region table at {path}; set FLEETLAKE_REGIONS_FILE to one") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadRegionTable(f"{path} is not TOML: {error}; mend that line") from None
    if not rows:
        raise BadRegionTable(f"{path} names no region; add a table such as [eu]")
    return {name: _region(path, name, row) for name, row in rows.items()}


def find_region(name: str, regions: Mapping[str, Region] | None = None) -> Region:
    """The region of that name. Raises UnknownRegion, naming those there are."""
    known = load_regions() if regions is None else regions
    try:
        return known[name]
    except KeyError:
        raise UnknownRegion(f"no region {name!r} in regions.toml; it has {', '.join(known)}") from None


def _region(path: Path, name: str, row: object) -> Region:
    if not _NAME.fullmatch(name) or name in (WORLD, "all"):
        raise BadRegionTable(
            f"{path}: [{name}] is no region name; use lower-case letters and digits, not 'world' or 'all'"
        )
    if not isinstance(row, dict):
        raise BadRegionTable(f"{path}: {name!r} stands outside a table; write it as [{name}] with its fields")
    try:
        region = msgspec.convert({"name": name, **row}, Region)
    except msgspec.ValidationError as error:
        raise BadRegionTable(f"{path}: [{name}]: {error}") from None
    _check_values(path, region)
    return region


def _is_zone(name: str) -> bool:
    """Whether there is such a zone. Loading it is a thousand times cheaper than listing all there are."""
    try:
        ZoneInfo(name)
    except (ValueError, KeyError, OSError):
        return False
    return True


def _check_values(path: Path, region: Region) -> None:
    if not _is_zone(region.time_zone):
        raise BadRegionTable(
            f"{path}: [{region.name}] time_zone {region.time_zone!r} is no IANA zone; write one such as 'Europe/Berlin'"
        )
    for field in ("retention_days", "stream_shards", "history_buckets"):
        if getattr(region, field) < 1:
            raise BadRegionTable(f"{path}: [{region.name}] {field} must be 1 or more")
    _check_sizes(path, region)


def _check_sizes(path: Path, region: Region) -> None:
    sizes, where = region.spark, f"{path}: [{region.name}] spark"
    for worker, cores, gib in (
        ("driver", sizes.driver_cores, sizes.driver_gib),
        ("executor", sizes.executor_cores, sizes.executor_gib),
    ):
        if cores not in _WORKERS:
            raise BadRegionTable(f"{where}: {worker}_cores must be one of {', '.join(map(str, _WORKERS))}")
        least, most, step = _WORKERS[cores]
        if not least <= gib <= most or gib % step:
            raise BadRegionTable(
                f"{where}: {worker}_gib of a worker of {cores} cores must be {least} to {most}, a multiple of {step}"
            )
    if not 1 <= sizes.executors <= sizes.most_executors:
        raise BadRegionTable(f"{where}: executors must be 1 or more, and most_executors no fewer")
