"""One region's code location: its assets, checks, sensors and schedules, wired."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from dagster import (
    AssetSelection,
    DefaultScheduleStatus,
    Definitions,
    ScheduleDefinition,
    define_asset_job,
    in_process_executor,
)

from assets.region import RegionAssets, region_assets
from assets.work import RegionWork
from contracts.regions import Region
from orchestration import due_work as asks
from orchestration.resources import REGION_RESOURCES
from orchestration.sensors import DueWork, SensorSpec, due_work_sensor


def region_definitions(region: Region) -> Definitions:
    """What the region's code server serves. Opens no connection and reads no secret."""
    found = region_assets(region)
    return Definitions(
        assets=found.assets,
        asset_checks=found.checks,
        sensors=[due_work_sensor(level, ask) for level, ask in levels(region, found)],
        schedules=[quality_schedule(region, found)],
        resources=REGION_RESOURCES,
        executor=in_process_executor,
    )


def levels(region: Region, found: RegionAssets) -> list[tuple[SensorSpec, Callable[[RegionWork], DueWork]]]:
    """The region's kinds of work in the order in which data flows.

    Merging and deriving take turns: a derivation beside a merge would have to be done again, and each has a Spark
    session of its own.
    """
    merge, derive, load, publish = (f"{region.name}/{work}" for work in ("landing", "days", "marts", "release"))
    return [
        (
            SensorSpec(
                merge,
                found.merge,
                found.quick_on(found.merge),
                after=[derive],
                description="Landed arrival hours into history.",
            ),
            partial(asks.to_merge, region),
        ),
        (
            SensorSpec(
                derive,
                found.derive,
                found.quick_on(found.derive),
                after=[merge],
                description="Changed business days into trips, device days, staging and marts.",
            ),
            partial(asks.to_derive, region),
        ),
        (
            SensorSpec(
                load,
                found.load,
                found.quick_on(found.load),
                after=[derive],
                description="Days that were derived but did not reach the marts.",
            ),
            partial(asks.to_load, region),
        ),
        (
            SensorSpec(
                publish,
                found.publish,
                [],
                after=[derive, load],
                every=timedelta(minutes=5),
                description="Days old enough to leave the region as aggregates.",
            ),
            partial(asks.to_publish, region),
        ),
    ]


def quality_schedule(region: Region, found: RegionAssets) -> ScheduleDefinition:
    """Reconciliation and the slow checks, once a night in the region's own time."""
    job = define_asset_job(
        f"{region.name}_quality",
        selection=AssetSelection.checks(*found.slow),
        description="Reconcile every stage from its own store and validate the newest data against its contract.",
    )
    return ScheduleDefinition(
        name=f"{region.name}_nightly",
        job=job,
        cron_schedule="30 3 * * *",
        execution_timezone=region.time_zone,
        default_status=DefaultScheduleStatus.RUNNING,
    )
