"""Releases: the only assets whose rows leave the region."""

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    BackfillPolicy,
    DailyPartitionsDefinition,
    MaterializeResult,
    ResourceParam,
    asset,
)

from assets import keys
from assets.partitions import day_key, days_in_run, first_day
from assets.redaction import without_values
from assets.tables import table_metadata
from assets.work import Releasing
from contracts.derived import UTILISATION_DAY
from contracts.names import exchange_prefix
from contracts.regions import Region
from contracts.settings import Buckets

CODE_VERSION = "1"


def utilisation_day_asset(region: Region, partitions: DailyPartitionsDefinition) -> AssetsDefinition:
    """`R/release/utilisation_day`."""

    @asset(
        key=keys.release(region.name, "utilisation_day"),
        deps=[keys.mart(region.name, "device_day")],
        partitions_def=partitions,
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
    def utilisation_day(context: AssetExecutionContext, releasing: ResourceParam[Releasing]) -> MaterializeResult[None]:
        """Daily totals by device type under the release policy: small cohorts withheld, counts rounded, restated only
        where no subtraction of versions could single anyone out. A day is published once it is old enough.

        A run publishes the days that are due, whoever launched it: a day that is too young cannot be published.
        Customers' own totals (`customer_day`) are published with them, for each customer alone."""
        with without_values("release utilisation_day"):
            due = days_in_run(context, partitions, releasing.due_releases())
            for day in due:
                published = releasing.publish(day)
                if day >= first_day(partitions):
                    context.add_asset_metadata(dict(published.metadata()), partition_key=day_key(day))
        return MaterializeResult(metadata={"days": len(due)})

    return utilisation_day
