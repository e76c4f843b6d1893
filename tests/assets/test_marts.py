"""A run of marts marks its days done only where it built every mart that has days."""

from collections.abc import Iterator
from datetime import date

import pytest
from dagster import AssetKey, DagsterInstance, Definitions, ResourceDefinition

from assets import marts as marts_module
from assets import world as world_module
from assets.keys import DUE_ONLY
from assets.lake_work import LakeLoading
from assets.marts import marts_assets
from assets.partitions import region_partitions
from assets.world import marts_asset as world_marts_asset
from tests.builders.orchestration import DAY, EU, MemoryLoading, MemoryWork

FLEET_DAY = AssetKey(["eu", "marts", "fleet_day"])
DIMENSIONS = [AssetKey(["eu", "marts", name]) for name in ("dim_device", "dim_calendar")]
DAYS = region_partitions(EU).days
RANGE = {
    "dagster/asset_partition_range_start": DAY.isoformat(),
    "dagster/asset_partition_range_end": DAY.isoformat(),
}


class MartsWork(MemoryLoading):
    """A day that staging has and the marts lack; which days were built and marked. Loading, and world's work."""

    def __init__(self) -> None:
        super().__init__(MemoryWork(staged={DAY: 7}))
        self.built: list[list[date]] = []

    def due_marts(self) -> list[date]:
        return sorted(set(self.work.staged) - set(self.work.marts))

    def versions_in_staging(self, days):
        return {f"object of {day}": "etag" for day in days}


@pytest.fixture
def work(monkeypatch) -> MartsWork:
    work = MartsWork()

    def built(context, region, days, *_) -> Iterator[None]:
        work.built.append(list(days))
        yield from ()

    monkeypatch.setattr(marts_module, "built", built)
    monkeypatch.setattr(world_module, "built", built)
    return work


def run(definition, work, selected, tags):
    """One run of dbt's assets over `selected`."""
    made = Definitions(
        assets=[definition],
        resources={name: ResourceDefinition.hardcoded_resource(work) for name in ("loading", "work")},
    )
    with DagsterInstance.ephemeral() as instance:
        job = made.get_repository_def().get_job("__ASSET_JOB").get_subset(asset_selection=set(selected))
        return job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)


def test_building_one_mart_by_hand_leaves_its_day_due_for_the_others(work):
    run(marts_assets(EU, DAYS), work, [FLEET_DAY], RANGE)

    assert work.built == [[DAY]]
    assert work.due_marts() == [DAY]


@pytest.mark.parametrize("dimensions", [True, False])
def test_a_run_of_all_marts_that_have_days_marks_them(work, dimensions):
    marts = marts_assets(EU, DAYS)
    selected = set(marts.keys) - (set() if dimensions else set(DIMENSIONS))

    run(marts, work, selected, RANGE | {DUE_ONLY: "true"})

    assert work.built == [[DAY]]
    assert work.due_marts() == []


def test_one_of_world_s_marts_built_by_hand_leaves_its_day_due_for_the_other(work):
    marked = []
    work.staged, work.mark_marts = work.versions_in_staging, marked.append

    run(world_marts_asset(DAYS), work, [AssetKey(["world", "marts", "daily_total"])], RANGE)
    assert (work.built, marked) == ([[DAY]], [])

    run(world_marts_asset(DAYS), work, world_marts_asset(DAYS).keys, RANGE)
    assert marked == [{f"object of {DAY}": "etag"}]


def test_marts_without_days_are_built_alone(stack):
    """By dbt itself, as the UI launches them: without partitions."""
    marts, work = marts_assets(EU, DAYS), LakeLoading(stack.settings("eu"))
    assert run(marts, work, marts.keys, RANGE).success

    done = run(marts, work, DIMENSIONS, {})

    assert done.success
    assert {event.asset_key for event in done.get_asset_materialization_events()} == set(DIMENSIONS)
