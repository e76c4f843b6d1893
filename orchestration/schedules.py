"""Schedules of a region."""

from dagster import AssetSelection, DefaultScheduleStatus, ScheduleDefinition, define_asset_job

from assets.region import RegionAssets
from contracts.regions import Region
from orchestration.sensors import MAX_RUNTIME


def quality_schedule(region: Region, assets: RegionAssets) -> ScheduleDefinition:
    """Reconciliation and the slow checks, nightly in the region's own time zone."""
    job = define_asset_job(
        f"{region.name}_quality",
        selection=AssetSelection.checks(*assets.slow),
        description="Reconcile every stage from its own store and validate the newest data against its contract.",
    )
    return ScheduleDefinition(
        name=f"{region.name}_nightly",
        job=job,
        cron_schedule="30 3 * * *",
        execution_timezone=region.time_zone,
        default_status=DefaultScheduleStatus.RUNNING,
    )


def rights_schedule(region: Region, assets: RegionAssets) -> ScheduleDefinition:
    """Retention and the desk, nightly in the region's own time zone, before maintenance expires what they leave."""
    job = define_asset_job(
        f"{region.name}_rights",
        selection=AssetSelection.assets(*assets.rights) | AssetSelection.checks(*assets.of_rights),
        description="Remove what is past its time from every store, and count the requests of data subjects.",
        tags=MAX_RUNTIME,
    )
    return ScheduleDefinition(
        name=f"{region.name}_rights_nightly",
        job=job,
        cron_schedule="30 1 * * *",
        execution_timezone=region.time_zone,
        default_status=DefaultScheduleStatus.RUNNING,
    )


def maintenance_schedule(region: Region, assets: RegionAssets) -> ScheduleDefinition:
    """Maintenance of the Iceberg tables, nightly in the region's own time zone, before the slow checks."""
    job = define_asset_job(
        f"{region.name}_maintenance",
        selection=AssetSelection.assets(*assets.maintain),
        description="Rewrite closed days, expire snapshots, delete stray files, and record how the tables are.",
        tags=MAX_RUNTIME,
    )
    return ScheduleDefinition(
        name=f"{region.name}_maintain",
        job=job,
        cron_schedule="30 2 * * *",
        execution_timezone=region.time_zone,
        default_status=DefaultScheduleStatus.RUNNING,
    )
