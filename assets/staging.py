"""Staging: the derived tables copied into the region's Postgres, one day replaced in one transaction."""

from collections.abc import Iterator

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    BackfillPolicy,
    DailyPartitionsDefinition,
    MaterializeResult,
    ResourceParam,
    multi_asset,
)

from assets import keys
from assets.days import TABLES
from assets.partitions import day_key, days_of_run, own_partitions
from assets.redaction import without_values
from assets.tables import same_columns, table_metadata
from assets.work import Loading
from contracts.names import fleet_database
from contracts.regions import Region

CODE_VERSION = "2"


def staging_assets(region: Region, partitions: DailyPartitionsDefinition) -> AssetsDefinition:
    """`R/staging/*`: one for each derived table."""

    @multi_asset(
        name=f"{region.name}_staging",
        specs=[_spec(region, table) for table in TABLES],
        partitions_def=partitions,
        backfill_policy=BackfillPolicy.single_run(),
        pool=f"{region.name}_postgres",
    )
    def staging(context: AssetExecutionContext, loading: ResourceParam[Loading]) -> Iterator[MaterializeResult[None]]:
        """Load the days that staging lacks, or all days of a run that a person launched."""
        with without_values("load staging"):
            wanted = days_of_run(context, partitions, due=loading.due_loads, known=loading.known_days)
            metadata = {"days": len(wanted), **(loading.load(wanted).metadata() if wanted else {})}
            staged = {table: loading.staged_rows(table, own_partitions(wanted, partitions)) for table in TABLES}
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
