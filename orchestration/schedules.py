"""Schedules of a region: jobs by night, in the region's own time zone."""

from dagster import AssetSelection, DefaultScheduleStatus, ScheduleDefinition, define_asset_job

from assets.region import RegionAssets
from contracts.regions import Region
from orchestration.sensors import MAX_RUNTIME


def rights_schedule(region: Region, assets: RegionAssets) -> ScheduleDefinition:
    """Retention, and the requests of data subjects, before maintenance."""
    return _nightly(
        region,
        f"{region.name}_rights_nightly",
        "30 1 * * *",
        f"{region.name}_rights",
        AssetSelection.assets(*assets.rights) | AssetSelection.checks(*assets.of_rights),
        "Remove what is past its time from every store, and count the requests of data subjects.",
    )


def maintenance_schedule(region: Region, assets: RegionAssets) -> ScheduleDefinition:
    """Maintenance of the Iceberg tables, before the slow checks."""
    return _nightly(
        region,
        f"{region.name}_maintain",
        "30 2 * * *",
        f"{region.name}_maintenance",
        AssetSelection.assets(*assets.maintain),
        "Rewrite closed days, expire snapshots, delete stray files, and record how the tables are.",
    )


def quality_schedule(region: Region, assets: RegionAssets) -> ScheduleDefinition:
    """Reconciliation and the slow checks."""
    return _nightly(
        region,
        f"{region.name}_nightly",
        "30 3 * * *",
        f"{region.name}_quality",
        AssetSelection.checks(*assets.slow),
        "Reconcile every stage from its own store and validate the newest data against its contract.",
    )


def _nightly(
    region: Region, name: str, cron: str, job: str, selection: AssetSelection, description: str
) -> ScheduleDefinition:
    """A schedule of that name for a job that selects these."""
    return ScheduleDefinition(
        name=name,
        job=define_asset_job(job, selection=selection, description=description, tags=MAX_RUNTIME),
        cron_schedule=cron,
        execution_timezone=region.time_zone,
        default_status=DefaultScheduleStatus.RUNNING,
    )
