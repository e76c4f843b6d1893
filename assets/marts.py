"""Marts: dbt builds the models of a window of business days, and its tests are checks on them."""

from collections.abc import Iterator
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    BackfillPolicy,
    DailyPartitionsDefinition,
    ResourceParam,
)
from dagster_dbt import dbt_assets

from assets.dbt import NO_UNIT_TESTS, built, covers_days, days_wanted, dbt_project
from assets.redaction import without_values
from assets.translator import RegionTranslator
from assets.work import Loading
from contracts.regions import Region
from marts.manifests import prepared


def marts_assets(region: Region, partitions: DailyPartitionsDefinition) -> AssetsDefinition:
    """`R/marts/*` and the models below them."""

    @dbt_assets(
        name=f"{region.name}_marts",
        manifest=prepared(region.name),
        project=dbt_project(region.name),
        exclude=NO_UNIT_TESTS,
        dagster_dbt_translator=RegionTranslator(region.name, partitions),
        backfill_policy=BackfillPolicy.single_run(),
        pool=f"{region.name}_postgres",
    )
    def marts(context: AssetExecutionContext, loading: ResourceParam[Loading]) -> Iterator[Any]:
        """Replace the window's days in the marts selected; the window is the days asked for.

        Days are marked where all marts that have days were built: one mart alone leaves them due for the others.
        """
        with without_values("what is due"):
            days = days_wanted(context, partitions, due=loading.due_marts, known=loading.known_days)
            sequences = loading.staged_sequences(days)
        yield from built(context, region.name, days, loading, partitions)
        if covers_days(context):
            with without_values("mark marts"):
                loading.mark_marts(days, sequences)

    return marts
