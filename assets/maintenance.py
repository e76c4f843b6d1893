"""Maintenance of a region's Iceberg tables, with their health as figures that Dagster plots."""

from datetime import timedelta

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    FreshnessPolicy,
    MaterializeResult,
    ResourceParam,
    asset,
)

from assets import keys
from assets.days import TABLES
from assets.redaction import without_values
from assets.spark import SparkJobs
from contracts.regions import Region

CODE_VERSION = "1"


def table_health_asset(region: Region) -> AssetsDefinition:
    """`R/table_health`."""

    @asset(
        key=keys.table_health(region.name),
        deps=[keys.history(region.name), *(keys.derived(region.name, table) for table in TABLES)],
        group_name=keys.group(region.name, keys.HISTORY),
        kinds={"spark", "iceberg"},
        owners=keys.OWNERS,
        code_version=CODE_VERSION,
        pool=f"{region.name}_maintenance",
        metadata={"dagster/table_name": "ops.table_health"},
        freshness_policy=FreshnessPolicy.time_window(fail_window=timedelta(days=3), warn_window=timedelta(days=2)),
    )
    def table_health(context: AssetExecutionContext, spark: ResourceParam[SparkJobs]) -> MaterializeResult[None]:
        """Files, sizes, deletes and snapshots of the region's Iceberg tables, after they were kept in shape.

        Closed days are rewritten once, sorted by device; manifests are rewritten, snapshots older than
        FLEETLAKE_SNAPSHOT_KEEP_H expire, and files that no snapshot names are deleted. Merges and readers go on.
        """
        from lake.jobs import Maintain

        with without_values("maintain the tables"):
            report = spark.run(Maintain(region=region.name), context)
        rows = {f"{name.rsplit('.', maxsplit=1)[-1]}_rows": table.rows for name, table in report.tables.items()}
        return MaterializeResult(metadata={"seconds": report.seconds, **report.counts, **rows})

    return table_health
