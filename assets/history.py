"""History: landing merged into one Iceberg table by arrival hour, and the same table seen by business day."""

from datetime import timedelta
from typing import Any

from dagster import (
    AssetDep,
    AssetExecutionContext,
    AssetsDefinition,
    BackfillPolicy,
    FreshnessPolicy,
    LastPartitionMapping,
    MaterializeResult,
    ResourceParam,
    asset,
)

from assets import keys
from assets.partitions import ARRIVAL_HOURS, days_of, hour_key, hours_in
from assets.redaction import without_values
from assets.spark import SparkJobs
from assets.tables import report_metadata, same_columns, table_metadata
from assets.work import RegionWork
from contracts.names import HISTORY_TABLE
from contracts.record import LANDING
from contracts.regions import Region

CODE_VERSION = "1"


def history_asset(region: Region) -> AssetsDefinition:
    """`R/history` by arrival hour."""

    @asset(
        key=keys.history(region.name),
        deps=[keys.landing(region.name)],
        partitions_def=ARRIVAL_HOURS,
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
        context: AssetExecutionContext, spark: ResourceParam[SparkJobs], work: ResourceParam[RegionWork]
    ) -> MaterializeResult[None]:
        """Every accepted record once, by event day and device.

        One arrival hour a partition; an hour merged again changes nothing.
        """
        from lake.jobs import MergeLanding

        with without_values("what is due"):
            hours, stragglers = _to_merge(context, work)
            landed_hours = work.landed(hours)
        for hour, landed in landed_hours.items():
            context.add_asset_metadata({"dagster/partition_row_count": landed.rows}, partition_key=hour_key(hour))
        if not hours and not stragglers:
            return MaterializeResult(metadata={"hours": 0, "note": "nothing was due any more"})
        with without_values("merge landing"):
            report = spark.run(MergeLanding(region=region.name, hours=hours, stragglers=stragglers), context)
        return MaterializeResult(metadata=report_metadata(report, HISTORY_TABLE) | {"hours": len(hours)})

    return history


def history_day_asset(region: Region) -> AssetsDefinition:
    """`R/history_day`, which stands between hours of arrival and days of events.

    No mapping of time can join the two: a record may arrive months after its day. Any day is history as of its newest
    hour. It is made, not only observed, since Dagster forgets the mappings of assets that nothing makes.
    """

    @asset(
        key=keys.history_day(region.name),
        deps=[AssetDep(keys.history(region.name), partition_mapping=LastPartitionMapping())],
        partitions_def=days_of(region),
        backfill_policy=BackfillPolicy.single_run(),
        group_name=keys.group(region.name, keys.HISTORY),
        kinds={"iceberg"},
        owners=keys.OWNERS,
        code_version=CODE_VERSION,
        metadata=table_metadata(LANDING, f"{region.name}.{HISTORY_TABLE}"),
    )
    def history_day(work: ResourceParam[RegionWork]) -> MaterializeResult[None]:
        """History by business day of the region: the days that its newest commits changed are marked to be derived."""
        with without_values("harvest"):
            work.harvest()
            return MaterializeResult(metadata={"days_to_derive": len(work.due_days())})

    return history_day


def _to_merge(context: AssetExecutionContext, work: RegionWork) -> tuple[list[Any], bool]:
    """What a run merges: what is due of its hours where a sensor asked, all of its hours where a person did."""
    hours = hours_in(context)
    if keys.DUE_ONLY not in context.run.tags:
        return sorted(work.landed(hours)), False
    due = work.due_merges()
    return sorted(set(due.hours) & set(hours)), due.stragglers
