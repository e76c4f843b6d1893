"""Trips, device days, episodes and fault days: derived together by one Spark job, business day by business day."""

from collections.abc import Iterator
from datetime import timedelta

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    BackfillPolicy,
    DailyPartitionsDefinition,
    FreshnessPolicy,
    MaterializeResult,
    ResourceParam,
    multi_asset,
)

from assets import keys
from assets.partitions import days_of_run
from assets.redaction import without_values
from assets.spark import SparkJobs
from assets.tables import report_metadata, table_metadata
from assets.work import Deriving
from contracts.columns import Column
from contracts.derived import DEVICE_DAY, EPISODE, FAULT_DAY, TRIP
from contracts.names import DEVICE_DAY_TABLE, EPISODE_TABLE, FAULT_DAY_TABLE, TRIP_TABLE
from contracts.regions import Region

CODE_VERSION = "3"
TABLES: dict[str, tuple[tuple[Column, ...], str, str]] = {
    "trip": (
        TRIP,
        TRIP_TABLE,
        "Trips of each device, cut by standstill and by gaps; each belongs to the day it starts in.",
    ),
    "device_day": (
        DEVICE_DAY,
        DEVICE_DAY_TABLE,
        "What each device did in a business day: records, times, distance, fuel.",
    ),
    "episode": (
        EPISODE,
        EPISODE_TABLE,
        "What a device did for a while: stops, idling, harsh changes of speed, refuels and drops of the fuel level.",
    ),
    "fault_day": (
        FAULT_DAY,
        FAULT_DAY_TABLE,
        "Fault codes that each device reported in a business day, when first and when last.",
    ),
}


def days_assets(region: Region, partitions: DailyPartitionsDefinition) -> AssetsDefinition:
    """`R/trip`, `R/device_day`, `R/episode` and `R/fault_day`."""

    @multi_asset(
        name=f"{region.name}_days",
        specs=[_spec(region, table) for table in TABLES],
        partitions_def=partitions,
        backfill_policy=BackfillPolicy.single_run(),
        pool=f"{region.name}_days",
    )
    def days(
        context: AssetExecutionContext, spark: ResourceParam[SparkJobs], deriving: ResourceParam[Deriving]
    ) -> Iterator[MaterializeResult[None]]:
        """Derive each day whole and replace it; a day whose rows come out equal is not passed on."""
        from lake.jobs import DeriveDays

        again = keys.DUE_ONLY not in context.run.tags
        with without_values("derive days"):
            wanted = days_of_run(context, partitions, due=deriving.due_days, known=deriving.known_days)
            report = spark.run(DeriveDays(region.name, wanted, again), context) if wanted else None
        for table, (_, name, _) in TABLES.items():
            counts = report_metadata(report, name) if report else {}
            yield MaterializeResult(
                asset_key=keys.derived(region.name, table), metadata={"days": len(wanted), **counts}
            )

    return days


def _spec(region: Region, table: str) -> AssetSpec:
    columns, name, description = TABLES[table]
    return AssetSpec(
        key=keys.derived(region.name, table),
        deps=[keys.history_day(region.name)],
        description=description,
        group_name=keys.group(region.name, keys.DAYS),
        kinds={"spark", "iceberg"},
        owners=keys.OWNERS,
        code_version=CODE_VERSION,
        metadata=table_metadata(columns, f"{region.name}.{name}"),
        freshness_policy=FreshnessPolicy.time_window(fail_window=timedelta(hours=30), warn_window=timedelta(hours=26)),
    )
