"""Doubles of the lake for tests of assets and sensors, and small definitions to run them in."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from dagster import DagsterRunStatus, Definitions, ResourceDefinition, in_process_executor

from assets import keys
from assets.days import TABLES, days_assets
from assets.history import history_asset, history_day_asset
from assets.landing import landing_spec
from assets.partitions import FirstPartitions, region_partitions
from assets.staging import staging_assets
from assets.work import DueMerges, FirstData
from contracts.regions import Region, load_regions
from lake.jobs import Report
from lake.merge.set_aside import SetAside
from orchestration import due_work
from orchestration.local.process import evaluate
from orchestration.partitions import record_first
from orchestration.sensors import SensorSpec, due_work_sensor, whoever_waits

EU = load_regions()["eu"]
HOUR = datetime(2026, 3, 4, 5, tzinfo=UTC)
DAY = date(2026, 3, 4)


@dataclass
class Loaded:
    """A report with these values."""

    values: Mapping[str, Any]

    def metadata(self) -> Mapping[str, Any]:
        return self.values


@dataclass
class Landed:
    """What landed in one hour."""

    objects: int
    rows: int
    bytes: int
    stragglers: int


@dataclass
class MemoryWork:
    """A region's stages in memory, with the levels of the real ones: what landed, changed, was derived and staged.

    `merging`, `deriving`, `loading` and `checking` are the protocols of assets.work over it.
    """

    landing: dict[datetime, int] = field(default_factory=dict)
    merged: set[datetime] = field(default_factory=set)
    stragglers: bool = False
    changed: dict[date, int] = field(default_factory=dict)
    harvested: dict[date, int] = field(default_factory=dict)
    derived: dict[date, int] = field(default_factory=dict)
    staged: dict[date, int] = field(default_factory=dict)
    marts: dict[date, int] = field(default_factory=dict)
    loads: list[list[date]] = field(default_factory=list)
    watermark_is: datetime | None = None
    away: str | None = None
    """The store that does not answer."""
    set_aside: list[SetAside] = field(default_factory=list)
    days_usual: Any = None
    """What Checking.usual_days returns."""

    def __post_init__(self) -> None:
        self.merging = MemoryMerging(self)
        self.deriving = MemoryDeriving(self)
        self.loading = MemoryLoading(self)
        self.checking = MemoryChecking(self)

    def resources(self) -> dict[str, ResourceDefinition]:
        """The protocols as resources."""
        names = ("merging", "deriving", "loading", "checking")
        return {name: ResourceDefinition.hardcoded_resource(getattr(self, name)) for name in names}


@dataclass
class MemoryMerging:
    """Merging over MemoryWork."""

    work: MemoryWork

    def away(self) -> str | None:
        return self.work.away

    def take_in(self) -> int:
        return 0

    def due_merges(self, *, open_hours: bool = False) -> DueMerges:
        late = sorted(self.work.landing) if self.work.stragglers else []
        return DueMerges(hours=sorted(set(self.work.landing) - self.work.merged), straggler_hours=late)

    def landed(self, hours: Iterable[datetime]) -> Mapping[datetime, Landed]:
        return {hour: Landed(1, self.work.landing[hour], 100, 0) for hour in hours if hour in self.work.landing}


@dataclass
class MemoryDeriving:
    """Deriving over MemoryWork."""

    work: MemoryWork

    def away(self) -> str | None:
        return self.work.away

    def harvest(self) -> None:
        self.work.harvested.update(self.work.changed)

    def due_days(self) -> list[date]:
        harvested, derived = self.work.harvested, self.work.derived
        return sorted(day for day, at in harvested.items() if derived.get(day, 0) < at)

    def known_days(self) -> list[date]:
        return sorted(self.work.harvested)

    def first_data(self) -> FirstData | None:
        days, hours = self.work.harvested, self.work.landing
        return FirstData(min(days), min(hours)) if days and hours else None


@dataclass
class MemoryLoading:
    """Loading over MemoryWork."""

    work: MemoryWork

    def away(self) -> str | None:
        return self.work.away

    def due_loads(self) -> list[date]:
        return sorted(day for day, at in self.work.derived.items() if self.work.staged.get(day, 0) < at)

    def known_days(self) -> list[date]:
        return sorted(self.work.derived)

    def load(self, days: Sequence[date]) -> Loaded:
        self.work.loads.append(list(days))
        self.work.staged.update({day: self.work.derived[day] for day in days})
        return Loaded({"device_day_rows": len(days)})

    def staged_rows(self, table: str, days: Sequence[date]) -> Mapping[date, int]:
        return dict.fromkeys(days, 3)

    def due_marts(self) -> list[date]:
        return []

    def staged_sequences(self, days: Sequence[date]) -> Mapping[date, int]:
        return {day: self.work.staged[day] for day in days if day in self.work.staged}

    def mark_marts(self, days: Sequence[date], sequences: Mapping[date, int]) -> None:
        self.work.marts.update({day: sequences[day] for day in days if day in sequences})

    def dbt_environment(self) -> Mapping[str, str]:
        return {}

    def mart_rows(self, mart: str, days: Sequence[date]) -> Mapping[date, int]:
        return dict.fromkeys(days, 3)


@dataclass
class MemoryChecking:
    """The counts of Checking over MemoryWork."""

    work: MemoryWork

    def last_landed_hour(self) -> datetime | None:
        return max(self.work.landing, default=None)

    def watermark(self) -> datetime | None:
        return self.work.watermark_is

    def objects_set_aside(self) -> list[SetAside]:
        return list(self.work.set_aside)

    def merged_counts(self) -> tuple[int, int]:
        return 0, 0

    def day_counts(self) -> tuple[int, int]:
        return 0, 0

    def usual_days(self, days: int) -> Any:
        return self.work.days_usual


@dataclass
class MemorySpark:
    """SparkJobs that moves MemoryWork's levels; the next `failing` jobs raise."""

    work: MemoryWork
    failing: int = 0
    fault: Exception = field(default_factory=lambda: ValueError("device bus-4711 broke it"))
    jobs: list[Any] = field(default_factory=list)

    def run(self, job: Any, context: Any) -> Report:
        self.jobs.append(job)
        if self.failing:
            self.failing -= 1
            raise self.fault
        if type(job).__name__ == "MergeLanding":
            self.work.merged.update(job.hours)
            self.work.stragglers = False
            sequence = len(self.jobs)
            self.work.changed.update({hour.date(): sequence for hour in job.hours})
        else:
            self.work.derived.update({day: self.work.harvested.get(day, 1) for day in job.days})
        return Report(job, EU.name, 0.1, {"rows_read": 5}, {})


def small_definitions(
    work: MemoryWork, spark: MemorySpark, region: Region = EU, first: FirstPartitions | None = None
) -> Definitions:
    """A region without dbt: landing to staging, with the real factories and sensors."""
    partitions = region_partitions(region, first)
    staged = [keys.staged(region.name, table) for table in TABLES]
    derive = [keys.history_day(region.name), *(keys.derived(region.name, table) for table in TABLES), *staged]
    days, marts = f"{region.name}/days", f"{region.name}/marts"
    merge_spec = SensorSpec(f"{region.name}/landing", [keys.history(region.name)], [], resource="merging")
    load_spec = SensorSpec(marts, staged, [], resource="loading", after=[days])
    record = partial(record_first, region)
    return Definitions(
        assets=[
            landing_spec(region, partitions.hours),
            history_asset(region, partitions.hours),
            history_day_asset(region, partitions.days),
            days_assets(region, partitions.days),
            staging_assets(region, partitions.days),
        ],
        sensors=[
            due_work_sensor(merge_spec, partial(due_work.to_merge, region, partitions)),
            due_work_sensor(
                SensorSpec(days, derive, [], resource="deriving"),
                whoever_waits(partial(due_work.to_derive, partitions, record)),
            ),
            due_work_sensor(load_spec, whoever_waits(partial(due_work.to_load, partitions))),
        ],
        resources=work.resources() | {"spark": ResourceDefinition.hardcoded_resource(spark)},
        executor=in_process_executor,
    )


def begin(instance, repository, request, tags=None, status=DagsterRunStatus.STARTED):
    """The run of a request, not ended."""
    return instance.create_run_for_job(
        repository.get_job("__ASSET_JOB"),
        tags={**request.tags, **(tags or {})},
        asset_selection=frozenset(request.asset_selection),
        status=status,
    )


def tick(repository, instance, name):
    """One evaluation as the daemon does it."""
    return evaluate(repository.get_sensor_def(name), repository, instance, cursor=None)


def hours(count: int, first: datetime = HOUR) -> list[datetime]:
    """Consecutive hours."""
    return [first + timedelta(hours=n) for n in range(count)]


def loaded_modules() -> set[str]:
    """Names of the modules that this process has imported."""
    return set(sys.modules)
