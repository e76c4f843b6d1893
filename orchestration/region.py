"""One region's code location: its assets, checks, sensors and schedules."""

from datetime import timedelta
from functools import partial

from dagster import Definitions, in_process_executor

from assets.partitions import RegionPartitions
from assets.region import RegionAssets, region_assets
from contracts.regions import Region
from orchestration import due_work
from orchestration.alerts import alerts_sensor
from orchestration.partitions import partitions_for, record_first
from orchestration.resources import REGION_RESOURCES
from orchestration.run_log import run_log_sensor
from orchestration.schedules import maintenance_schedule, quality_schedule, rights_schedule
from orchestration.sensors import FindDue, SensorSpec, due_work_sensor, whoever_waits


def region_definitions(region: Region) -> Definitions:
    """What the region's code server serves. Opens no connection and reads no secret."""
    partitions = partitions_for(region)
    assets = region_assets(region, partitions)
    specs = sensor_specs(region, assets, partitions)
    schedules = [
        rights_schedule(region, assets),
        maintenance_schedule(region, assets),
        quality_schedule(region, assets),
    ]
    works = [spec.work for spec, _ in specs]
    oversight = [
        alerts_sensor(region.name, works, [*assets.quick, *assets.slow]),
        run_log_sensor(region.name, works, [schedule.job_name for schedule in schedules]),
    ]
    return Definitions(
        assets=assets.assets,
        asset_checks=assets.checks,
        sensors=[*(due_work_sensor(spec, due) for spec, due in specs), *oversight],
        schedules=schedules,
        resources=REGION_RESOURCES,
        executor=in_process_executor,
    )


def sensor_specs(
    region: Region, assets: RegionAssets, partitions: RegionPartitions
) -> list[tuple[SensorSpec, FindDue]]:
    """The region's sensors, each with the function that finds its due work, in the order in which data flows.

    Merging and deriving take turns: a derivation beside a merge would have to be repeated, and each needs a Spark
    session of its own.
    """
    merge, derive, load, publish = (f"{region.name}/{work}" for work in ("landing", "days", "marts", "release"))
    return [
        (
            SensorSpec(
                merge,
                assets.merge,
                assets.quick_on(assets.merge),
                resource="merging",
                after=[derive],
                description="Merges landed arrival hours that history lacks.",
            ),
            partial(due_work.to_merge, region, partitions),
        ),
        (
            SensorSpec(
                derive,
                assets.derive,
                assets.quick_on(assets.derive),
                resource="deriving",
                after=[merge],
                description="Derives trips and device days of the business days that changed, and builds their marts.",
            ),
            whoever_waits(partial(due_work.to_derive, partitions, partial(record_first, region))),
        ),
        (
            SensorSpec(
                load,
                assets.load,
                assets.quick_on(assets.load),
                resource="loading",
                after=[derive],
                description="Loads and builds the days that were derived and did not reach the marts.",
            ),
            whoever_waits(partial(due_work.to_load, partitions)),
        ),
        (
            SensorSpec(
                publish,
                assets.publish,
                [],
                resource="releasing",
                after=[derive, load],
                every=timedelta(minutes=5),
                description="Publishes the days that are old enough to leave the region as aggregates.",
            ),
            whoever_waits(partial(due_work.to_publish, partitions)),
        ),
    ]
