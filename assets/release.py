"""Releases: the only assets whose rows leave the region."""

from dagster import AssetExecutionContext, AssetsDefinition, BackfillPolicy, MaterializeResult, ResourceParam, asset

from assets import keys
from assets.partitions import day_key, days_in, days_of
from assets.redaction import without_values
from assets.tables import table_metadata
from assets.work import RegionWork
from contracts.derived import UTILISATION_DAY
from contracts.names import exchange_prefix
from contracts.regions import Region
from contracts.settings import Buckets

CODE_VERSION = "1"


def utilisation_day_asset(region: Region) -> AssetsDefinition:
    """`R/release/utilisation_day`."""

    @asset(
        key=keys.release(region.name, "utilisation_day"),
        deps=[keys.mart(region.name, "device_day")],
        partitions_def=days_of(region),
        backfill_policy=BackfillPolicy.single_run(),
        group_name=keys.group(region.name, keys.RELEASE),
        kinds={"s3", "parquet"},
        owners=keys.RELEASE_OWNERS,
        code_version=CODE_VERSION,
        pool=f"{region.name}_release",
        metadata=table_metadata(
            UTILISATION_DAY, f"s3://{Buckets.load().exchange_bucket}/{exchange_prefix(region.name)}utilisation_day"
        ),
    )
    def utilisation_day(context: AssetExecutionContext, work: ResourceParam[RegionWork]) -> MaterializeResult[None]:
        """Daily totals by device type under the release policy: small cohorts withheld, counts rounded, restated only
        where no subtraction of versions could single anyone out. A day is published once it is old enough."""
        with without_values("release utilisation_day"):
            due = sorted(set(days_in(context)) & set(work.due_releases()))
            for day in due:
                told = work.publish(day)
                context.add_asset_metadata(dict(told.metadata()), partition_key=day_key(day))
        return MaterializeResult(metadata={"days": len(due)})

    return utilisation_day
