"""The rights of the people behind the devices, as the privacy office sees them in Dagster: retention, requests, checks.

Numbers only: no asset, check, tag or log names a device or a person.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from dagster import (
    AssetCheckResult,
    AssetChecksDefinition,
    AssetExecutionContext,
    AssetsDefinition,
    FreshnessPolicy,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    asset,
    asset_check,
)

from assets import keys
from assets.days import TABLES
from assets.redaction import without_values
from assets.spark import SparkJobs
from assets.work import Desk, Retaining
from contracts.regions import Region

if TYPE_CHECKING:
    from contracts.retention import Expiry, Standing

CODE_VERSION = "1"
WHO = "schedule"
"""Who acts in the audit where a schedule does."""


def retention_asset(region: Region) -> AssetsDefinition:
    """`R/retention`."""

    @asset(
        key=keys.retention(region.name),
        deps=[keys.history(region.name), *(keys.derived(region.name, table) for table in TABLES)],
        group_name=keys.group(region.name, keys.RIGHTS),
        kinds={"spark", "iceberg", "postgres"},
        owners=keys.RELEASE_OWNERS,
        code_version=CODE_VERSION,
        pool=f"{region.name}_maintenance",
        metadata={"dagster/table_name": "ops.retention_run"},
        freshness_policy=FreshnessPolicy.time_window(fail_window=timedelta(days=3), warn_window=timedelta(days=2)),
    )
    def retention(
        context: AssetExecutionContext, spark: ResourceParam[SparkJobs], retaining: ResourceParam[Retaining]
    ) -> MaterializeResult[None]:
        """What is past its time is removed from every store: GDPR Art. 5(1)(e).

        How long is said by the region table, and by fleets and devices in the registry; what is on legal hold stays.
        """
        from lake.jobs import Expire

        def expire(due: "Expiry") -> Mapping[str, int]:
            report = spark.run(Expire(region=region.name, today=due.today), context)
            return {name: int(rows) for name, rows in report.counts.items()}

        with without_values("retention"):
            done = retaining.run(expire, WHO)
        return MaterializeResult(
            metadata={
                "nothing_before": str(done.before),
                "left_past_its_time": done.overdue,
                "removed": MetadataValue.md(_removed(done.removed)),
            }
        )

    return retention


def requests_asset(region: Region) -> AssetsDefinition:
    """`R/privacy_requests`."""

    @asset(
        key=keys.privacy_requests(region.name),
        group_name=keys.group(region.name, keys.RIGHTS),
        kinds={"postgres"},
        owners=keys.RELEASE_OWNERS,
        code_version=CODE_VERSION,
        metadata={"dagster/table_name": "privacy.requests"},
        freshness_policy=FreshnessPolicy.time_window(fail_window=timedelta(days=3), warn_window=timedelta(days=2)),
    )
    def privacy_requests(desk: ResourceParam[Desk]) -> MaterializeResult[None]:
        """Requests of data subjects: how many are open, when the next is due, how many are done (GDPR Art. 12(3))."""
        with without_values("privacy requests"):
            found = desk.count()
        return MaterializeResult(metadata=dict(found.metadata()))

    return privacy_requests


def rights_checks(region: Region) -> list[AssetChecksDefinition]:
    """Both of them, which a schedule runs by night."""
    return [within_retention(region), requests_in_time(region)]


def within_retention(region: Region) -> AssetChecksDefinition:
    """Whether the oldest row of each store is within its time."""

    @asset_check(
        asset=keys.retention(region.name),
        description="Nothing in any store is past its time: the oldest row of each is within what region, fleet and "
        "device say, or on legal hold. A day that ended its time last midnight counts from tomorrow on. Fails where "
        "nothing was read.",
    )
    def within_retention(retaining: ResourceParam[Retaining]) -> AssetCheckResult:
        with without_values("check within_retention"):
            found = retaining.check()
        rows = sum(one.rows for one in found.stores.values())
        return AssetCheckResult(
            passed=found.overdue == 0 and rows > 0,
            metadata={
                "overdue": found.overdue,
                "rows_read": rows,
                "stores": MetadataValue.md(_standings(found.stores)),
            },
        )

    return within_retention


def requests_in_time(region: Region) -> AssetChecksDefinition:
    """Whether a request is overdue."""

    @asset_check(
        asset=keys.privacy_requests(region.name),
        description="No request of a data subject is open for longer than a month (GDPR Art. 12(3)).",
    )
    def requests_in_time(desk: ResourceParam[Desk]) -> AssetCheckResult:
        with without_values("check requests_in_time"):
            found = desk.count()
        return AssetCheckResult(passed=found.overdue == 0, metadata=dict(found.metadata()))

    return requests_in_time


def _removed(removed: Mapping[str, int]) -> str:
    lines = [f"| {name} | {rows:,} |" for name, rows in removed.items() if rows]
    return "\n".join(["| store | removed |", "|---|---|", *lines]) if lines else "nothing"


def _standings(stores: "Mapping[str, Standing]") -> str:
    lines = [f"| {name} | {one.rows:,} | {one.oldest or ''} | {one.overdue:,} |" for name, one in stores.items()]
    return "\n".join(["| store | there | oldest | past its time |", "|---|---|---|---|", *lines])
