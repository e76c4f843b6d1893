"""The world view: what the regions released, copied from the exchange and built into marts that name nobody."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Protocol

from dagster import (
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    AssetsDefinition,
    AssetSpec,
    BackfillPolicy,
    DailyPartitionsDefinition,
    MaterializeResult,
    ResourceParam,
    asset,
    asset_check,
)
from dagster_dbt import dbt_assets

from assets import keys
from assets.dbt import NO_UNIT_TESTS, built, covers_days, days_wanted, dbt_project
from assets.partitions import day_key, partitions_of
from assets.redaction import without_values
from assets.tables import same_columns, table_metadata
from assets.translator import RegionTranslator
from assets.work import Database, StepReport
from contracts.derived import UTILISATION_DAY
from contracts.names import fleet_database
from contracts.regions import WORLD
from contracts.settings import Buckets
from marts.manifests import prepared

CODE_VERSION = "1"
EXCHANGE = AssetKey([WORLD, "exchange"])
STAGED = keys.staged(WORLD, "utilisation_day")


class WorldWork(Database, Protocol):
    """The world view: what the regions released, loaded and built into marts.

    Promises
    - `due_*` report state: an object is due while its version in the exchange is not the one that was loaded.
    - A step records what it did in the transaction that did it.
    """

    def due_loads(self) -> list[date]:
        """Days with an object in the exchange that staging lacks. Looks at the exchange first."""
        ...

    def load(self) -> StepReport:
        """Copy each due object into staging; one that breaks the release's contract is refused, the others loaded."""
        ...

    def refused(self) -> int:
        """Objects in the exchange whose present version was refused."""
        ...

    def late(self) -> Mapping[str, int]:
        """Releases that should be in the exchange by now and are not, by region."""
        ...

    def due_marts(self) -> list[date]:
        """Days that were staged after the marts saw them."""
        ...

    def known_days(self) -> list[date]:
        """Days of which staging has, or had, a release."""
        ...

    def staged(self, days: Sequence[date]) -> Any:
        """What staging holds of these days, to be handed to `mark_marts` once the marts are built."""
        ...

    def mark_marts(self, staged: Any) -> None:
        """Record that the marts hold what `staged` named."""
        ...


def exchange_spec(partitions: DailyPartitionsDefinition) -> AssetSpec:
    """`world/exchange`: what the regions' releases have put there. The world sensor reports what is new."""
    return AssetSpec(
        key=EXCHANGE,
        description="Aggregates that the regions released, one object a region and day. World may read it, no region "
        "may list it.",
        partitions_def=partitions,
        group_name=keys.group(WORLD, "exchange"),
        kinds={"s3", "parquet"},
        owners=keys.RELEASE_OWNERS,
        metadata=table_metadata(UTILISATION_DAY, f"s3://{Buckets.load().exchange_bucket}"),
    )


def staging_asset(partitions: DailyPartitionsDefinition) -> AssetsDefinition:
    """`world/staging/utilisation_day`."""

    @asset(
        key=STAGED,
        deps=[EXCHANGE],
        partitions_def=partitions,
        backfill_policy=BackfillPolicy.single_run(),
        group_name=keys.group(WORLD, keys.STAGING),
        kinds={"postgres", "table"},
        owners=keys.OWNERS,
        code_version=CODE_VERSION,
        pool="world_postgres",
        metadata=table_metadata(UTILISATION_DAY, f"{fleet_database(WORLD)}.staging.utilisation_day")
        | {"dagster/column_lineage": same_columns(UTILISATION_DAY, EXCHANGE)},
    )
    def utilisation_day(work: ResourceParam[WorldWork]) -> MaterializeResult[None]:
        """Every region's release as it stands in the exchange, whichever days are due: the listing says what is new.
        Customers' own totals go to `staging.customer_day`, which each customer reads its own rows of."""
        with without_values("load the exchange"):
            report = dict(work.load().metadata())
        return MaterializeResult(metadata=report)

    return utilisation_day


def release_is_agreed() -> AssetChecksDefinition:
    """Whether the exchange holds anything but releases."""

    @asset_check(
        asset=STAGED, description="No object in the exchange breaks the release's contract: columns, words, rounding."
    )
    def release_is_as_agreed(work: ResourceParam[WorldWork]) -> AssetCheckResult:
        with without_values("check release_is_as_agreed"):
            refused = work.refused()
        return AssetCheckResult(passed=refused == 0, metadata={"refused_objects": refused})

    return release_is_as_agreed


def releases_are_in_time() -> AssetChecksDefinition:
    """Whether every region has released every day that it should have by now."""

    @asset_check(
        asset=STAGED,
        description="Every region has released what is due; `marts.release_status` says which has not.",
    )
    def every_region_has_released(work: ResourceParam[WorldWork]) -> AssetCheckResult:
        with without_values("check every_region_has_released"):
            late = dict(work.late())
        return AssetCheckResult(passed=not late, severity=AssetCheckSeverity.WARN, metadata={"late_releases": late})

    return every_region_has_released


def marts_asset(partitions: DailyPartitionsDefinition) -> AssetsDefinition:
    """`world/marts/*`."""

    @dbt_assets(
        name="world_marts",
        manifest=prepared(WORLD),
        project=dbt_project(WORLD),
        exclude=NO_UNIT_TESTS,
        dagster_dbt_translator=RegionTranslator(WORLD, partitions),
        backfill_policy=BackfillPolicy.single_run(),
        pool="world_postgres",
    )
    def marts(context: AssetExecutionContext, work: ResourceParam[WorldWork]) -> Iterator[Any]:
        """Replace the window's days in the world's marts selected; they are marked where all of them were built."""
        with without_values("what is due"):
            days = days_wanted(context, partitions, due=work.due_marts, known=work.known_days)
            staged = work.staged(days)
        yield from built(context, WORLD, days, work, partitions)
        if covers_days(context):
            with without_values("mark marts"):
                work.mark_marts(staged)

    return marts


def exchange_events(days: Sequence[date], partitions: DailyPartitionsDefinition) -> list[AssetMaterialization]:
    """One materialisation of `world/exchange` for each partition with something new."""
    return [AssetMaterialization(asset_key=EXCHANGE, partition=day_key(day)) for day in partitions_of(days, partitions)]
