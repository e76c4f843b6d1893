"""History: landing merged into one Iceberg table by arrival hour, and the same table seen by business day."""

from datetime import datetime, timedelta

from dagster import (
    AssetDep,
    AssetExecutionContext,
    AssetsDefinition,
    BackfillPolicy,
    DailyPartitionsDefinition,
    FreshnessPolicy,
    HourlyPartitionsDefinition,
    LastPartitionMapping,
    MaterializeResult,
    ResourceParam,
    asset,
)

from assets import keys
from assets.partitions import hour_key, hours_in_run, hours_of_run
from assets.redaction import without_values
from assets.spark import SparkJobs
from assets.tables import report_metadata, same_columns, table_metadata
from assets.work import Deriving, Merging
from contracts.names import HISTORY_TABLE
from contracts.record import LANDING
from contracts.regions import Region

CODE_VERSION = "1"


def history_asset(region: Region, hours_def: HourlyPartitionsDefinition) -> AssetsDefinition:
    """`R/history` by arrival hour."""

    @asset(
        key=keys.history(region.name),
        deps=[keys.landing(region.name)],
        partitions_def=hours_def,
        backfill_policy=BackfillPolicy.single_run(),
        group_name=keys.group(region.name, keys.HISTORY),
        kinds={"spark", "iceberg"},
        owners=keys.OWNERS,
        code_version=CODE_VERSION,
        pool=f"{region.name}_history",
        metadata=table_metadata(LANDING, f"{region.name}.{HISTORY_TABLE}")
        | {"dagster/column_lineage": same_columns(LANDING, keys.landing(region.name))},
        freshness_policy=FreshnessPolicy.time_window(fail_window=timedelta(hours=8), warn_window=timedelta(hours=3)),
    )
    def history(
        context: AssetExecutionContext, spark: ResourceParam[SparkJobs], merging: ResourceParam[Merging]
    ) -> MaterializeResult[None]:
        """Every accepted record once, by event day and device.

        One arrival hour a partition; an hour merged again changes nothing.
        """
        from lake.jobs import MergeLanding

        with without_values("what is due"):
            hours, stragglers = _to_merge(context, merging, hours_def)
            landed_hours = merging.landed(hours)
        for hour, landed in landed_hours.items():
            if hour >= hours_def.start:
                context.add_asset_metadata({"dagster/partition_row_count": landed.rows}, partition_key=hour_key(hour))
        if not hours and not stragglers:
            return MaterializeResult(metadata={"hours": 0, "note": "nothing was due any more"})
        with without_values("merge landing"):
            report = spark.run(MergeLanding(region=region.name, hours=hours, stragglers=stragglers), context)
        return MaterializeResult(metadata=report_metadata(report, HISTORY_TABLE) | {"hours": len(hours)})

    return history


def history_day_asset(region: Region, days_def: DailyPartitionsDefinition) -> AssetsDefinition:
    """`R/history_day`, which connects hours of arrival with days of events.

    No time window mapping can join the two, as a record may arrive months after its day: each day depends on the
    newest arrival hour. It is materialised, not only observed, since Dagster drops the partition mappings of assets
    that are not materialisable.
    """

    @asset(
        key=keys.history_day(region.name),
        deps=[AssetDep(keys.history(region.name), partition_mapping=LastPartitionMapping())],
        partitions_def=days_def,
        backfill_policy=BackfillPolicy.single_run(),
        group_name=keys.group(region.name, keys.HISTORY),
        kinds={"iceberg"},
        owners=keys.OWNERS,
        code_version=CODE_VERSION,
        metadata=table_metadata(LANDING, f"{region.name}.{HISTORY_TABLE}"),
    )
    def history_day(deriving: ResourceParam[Deriving]) -> MaterializeResult[None]:
        """History by business day of the region: the days that its newest commits changed are marked to be derived."""
        with without_values("harvest"):
            deriving.harvest()
            return MaterializeResult(metadata={"days_to_derive": len(deriving.due_days())})

    return history_day


def _to_merge(
    context: AssetExecutionContext, merging: Merging, hours_def: HourlyPartitionsDefinition
) -> tuple[list[datetime], bool]:
    """The hours that a run merges, and whether it merges stragglers.

    Of a sensor's run the hours that are still due; of a run that a person launched all its hours in which rows landed.
    """
    if keys.DUE_ONLY not in context.run.tags:
        return sorted(merging.landed(hours_of_run(context))), False
    due = merging.due_merges(open_hours=keys.OPEN_HOURS in context.run.tags)
    return hours_in_run(context, hours_def, due.hours), due.stragglers
