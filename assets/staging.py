"""Staging: the derived tables copied into the region's Postgres, one day replaced in one transaction."""

from collections.abc import Iterator

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    BackfillPolicy,
    MaterializeResult,
    ResourceParam,
    multi_asset,
)

from assets import keys
from assets.days import TABLES
from assets.partitions import day_key, days_in, days_of
from assets.redaction import without_values
from assets.tables import same_columns, table_metadata
from assets.work import RegionWork
from contracts.names import fleet_database
from contracts.regions import Region

CODE_VERSION = "1"


def staging_assets(region: Region) -> AssetsDefinition:
    """`R/staging/trip` and `R/staging/device_day`."""

    @multi_asset(
        name=f"{region.name}_staging",
        specs=[_spec(region, table) for table in TABLES],
        partitions_def=days_of(region),
        backfill_policy=BackfillPolicy.single_run(),
        pool=f"{region.name}_postgres",
    )
    def staging(context: AssetExecutionContext, work: ResourceParam[RegionWork]) -> Iterator[MaterializeResult[None]]:
        """Load the days that staging lacks, or all that a person asked for."""
        wanted = days_in(context)
        with without_values("load staging"):
            if keys.DUE_ONLY in context.run.tags:
                wanted = sorted(set(wanted) & set(work.due_loads()))
            metadata = {"days": len(wanted), **(work.load(wanted).metadata() if wanted else {})}
            staged = {table: work.staged_rows(table, wanted) for table in TABLES}
        for table, rows_of in staged.items():
            key = keys.staged(region.name, table)
            for day, rows in rows_of.items():
                context.add_asset_metadata({"dagster/partition_row_count": rows}, key, partition_key=day_key(day))
            yield MaterializeResult(asset_key=key, metadata=metadata)

    return staging


def _spec(region: Region, table: str) -> AssetSpec:
    columns, _, description = TABLES[table]
    upstream = keys.derived(region.name, table)
    return AssetSpec(
        key=keys.staged(region.name, table),
        deps=[upstream],
        description=f"{description} A copy for dbt to read.",
        group_name=keys.group(region.name, keys.STAGING),
        kinds={"postgres", "table"},
        owners=keys.OWNERS,
        code_version=CODE_VERSION,
        metadata=table_metadata(columns, f"{fleet_database(region.name)}.staging.{table}")
        | {"dagster/column_lineage": same_columns(columns, upstream)},
    )
