"""Marts: dbt builds the models of a window of business days, and its tests are checks on them."""

from collections.abc import Iterator
from typing import Any

from dagster import AssetExecutionContext, AssetsDefinition, BackfillPolicy, ResourceParam
from dagster_dbt import dbt_assets

from assets import keys
from assets.dbt import NO_UNIT_TESTS, built, covers_days, days_wanted, dbt_project
from assets.partitions import days_of
from assets.redaction import without_values
from assets.translator import RegionTranslator
from assets.work import RegionWork
from contracts.regions import Region
from marts.manifests import prepared


def marts_assets(region: Region) -> AssetsDefinition:
    """`R/marts/*` and the models below them."""

    @dbt_assets(
        name=f"{region.name}_marts",
        manifest=prepared(region.name),
        project=dbt_project(region.name),
        exclude=NO_UNIT_TESTS,
        dagster_dbt_translator=RegionTranslator(region.name, days_of(region)),
        backfill_policy=BackfillPolicy.single_run(),
        pool=f"{region.name}_postgres",
    )
    def marts(context: AssetExecutionContext, work: ResourceParam[RegionWork]) -> Iterator[Any]:
        """Replace the window's days in the marts selected; the window is the range of the days asked for.

        Days are marked where all marts that have days were built: one mart alone leaves them due for the others.
        """
        with without_values("what is due"):
            days = days_wanted(context)
            if keys.DUE_ONLY in context.run.tags:
                days = sorted(set(days) & set(work.due_marts()))
            sequences = work.staged_sequences(days)
        yield from built(context, region.name, days, work)
        if covers_days(context):
            with without_values("mark marts"):
                work.mark_marts(days, sequences)

    return marts
