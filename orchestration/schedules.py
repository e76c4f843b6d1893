"""Schedules of a region."""

from dagster import AssetSelection, DefaultScheduleStatus, ScheduleDefinition, define_asset_job

from assets.region import RegionAssets
from contracts.regions import Region


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
