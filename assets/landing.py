"""Landing as an asset: made by the consumer, observed here."""

from datetime import datetime, timedelta

from dagster import AssetMaterialization, AssetSpec, FreshnessPolicy, HourlyPartitionsDefinition

from assets import keys
from assets.partitions import hour_key
from assets.tables import table_metadata
from assets.work import Merging
from contracts.record import LANDING
from contracts.regions import Region
from contracts.settings import Buckets


def landing_spec(region: Region, partitions: HourlyPartitionsDefinition) -> AssetSpec:
    """`R/landing`: Parquet in S3 by arrival hour. The landing sensor reports what came."""
    return AssetSpec(
        key=keys.landing(region.name),
        description="Accepted records as they arrived: Parquet by arrival hour. The consumer writes it; an object "
        "counts only if the ledger lists it.",
        partitions_def=partitions,
        group_name=keys.group(region.name, keys.LANDING),
        kinds={"kinesis", "s3", "parquet"},
        owners=keys.OWNERS,
        metadata=table_metadata(LANDING, f"s3://{Buckets.load().lake(region.name)}/landing/telemetry"),
        freshness_policy=FreshnessPolicy.time_window(fail_window=timedelta(hours=6), warn_window=timedelta(hours=2)),
    )


def landed_events(
    region: str, merging: Merging, hours: list[datetime], partitions: HourlyPartitionsDefinition
) -> list[AssetMaterialization]:
    """One materialisation for each hour of which something landed, with what the ledger lists for it."""
    return [
        AssetMaterialization(
            asset_key=keys.landing(region),
            partition=hour_key(hour),
            metadata={
                "dagster/partition_row_count": landed.rows,
                "objects": landed.objects,
                "bytes": landed.bytes,
                "stragglers": landed.stragglers,
            },
        )
        for hour, landed in sorted(merging.landed(hours).items())
        if hour >= partitions.start
    ]
