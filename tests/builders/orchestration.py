"""Doubles of the lake for tests of assets and sensors, and small definitions to run them in."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from dagster import DagsterRunStatus, Definitions, ResourceDefinition, in_process_executor

from assets import keys
from assets.days import TABLES, days_assets
from assets.history import history_asset, history_day_asset
from assets.landing import landing_spec
from assets.staging import staging_assets
from assets.work import LandedHour, Merges
from contracts.regions import Region, load_regions
from lake.jobs import Report
from orchestration import due_work as asks
from orchestration.local.process import evaluate
from orchestration.sensors import Level, level_sensor

EU = load_regions()["eu"]
HOUR = datetime(2026, 3, 4, 5, tzinfo=UTC)
DAY = date(2026, 3, 4)


@dataclass
class Told:
    """A report with these values."""

    values: Mapping[str, Any]

    def metadata(self) -> Mapping[str, Any]:
        return self.values


@dataclass
class MemoryWork:
    """RegionWork in memory, with the levels of the real one: what landed, what changed, what was derived and staged."""

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

    def take_in(self) -> int:
        return 0

    def due_merges(self) -> Merges:
        late = sorted(self.landing) if self.stragglers else []
        return Merges(hours=sorted(set(self.landing) - self.merged), straggler_hours=late)

    def landed(self, hours: Iterable[datetime]) -> Mapping[datetime, LandedHour]:
        return {hour: LandedHour(1, self.landing[hour], 100, 0) for hour in hours if hour in self.landing}

    def last_landed_hour(self) -> datetime | None:
        return max(self.landing, default=None)

    def watermark(self) -> datetime | None:
        return self.watermark_is

    def harvest(self) -> None:
        self.harvested.update(self.changed)

    def due_days(self) -> list[date]:
        return sorted(day for day, at in self.harvested.items() if self.derived.get(day, 0) < at)

    def due_loads(self) -> list[date]:
        return sorted(day for day, at in self.derived.items() if self.staged.get(day, 0) < at)

    def load(self, days: Sequence[date]) -> Told:
        self.loads.append(list(days))
        self.staged.update({day: self.derived[day] for day in days})
        return Told({"device_day_rows": len(days)})

    def staged_rows(self, table: str, days: Sequence[date]) -> Mapping[date, int]:
        return dict.fromkeys(days, 3)

    def due_marts(self) -> list[date]:
        return []

    def merged_counts(self) -> tuple[int, int]:
        return 0, 0

    def day_counts(self) -> tuple[int, int]:
        return 0, 0


@dataclass
class MemorySpark:
    """SparkJobs that moves MemoryWork's levels; the next `failing` jobs raise."""

    work: MemoryWork
    failing: int = 0
    jobs: list[Any] = field(default_factory=list)

    def run(self, job: Any, context: Any) -> Report:
        self.jobs.append(job)
        if self.failing:
            self.failing -= 1
            raise ValueError("device bus-4711 broke it")
        if type(job).__name__ == "MergeLanding":
            self.work.merged.update(job.hours)
            self.work.stragglers = False
            sequence = len(self.jobs)
            self.work.changed.update({hour.date(): sequence for hour in job.hours})
        else:
            self.work.derived.update({day: self.work.harvested.get(day, 1) for day in job.days})
        return Report(job, EU.name, 0.1, {"rows_read": 5}, {})


def small_definitions(work: MemoryWork, spark: MemorySpark, region: Region = EU) -> Definitions:
    """A region without dbt: landing to staging, with the real factories and sensors."""
    staged = [keys.staged(region.name, table) for table in TABLES]
    derive = [keys.history_day(region.name), *(keys.derived(region.name, table) for table in TABLES), *staged]
    levels = [
        (Level(f"{region.name}/landing", [keys.history(region.name)], []), asks.to_merge),
        (Level(f"{region.name}/days", derive, []), asks.to_derive),
        (Level(f"{region.name}/marts", staged, [], after=[f"{region.name}/days"]), asks.to_load),
    ]
    return Definitions(
        assets=[
            landing_spec(region),
            history_asset(region),
            history_day_asset(region),
            days_assets(region),
            staging_assets(region),
        ],
        sensors=[level_sensor(level, lambda w, ask=ask: ask(region, w)) for level, ask in levels],
        resources={
            "work": ResourceDefinition.hardcoded_resource(work),
            "spark": ResourceDefinition.hardcoded_resource(spark),
        },
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
