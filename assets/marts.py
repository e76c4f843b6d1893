"""Marts: dbt builds the models of a window of business days, and its tests are checks on them."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dagster import AssetExecutionContext, AssetsDefinition, BackfillPolicy, ResourceParam
from dagster_dbt import DbtCliResource, DbtProject, dbt_assets

from assets import keys
from assets.faults import told_safely
from assets.manifests import prepared
from assets.partitions import days_in, days_of
from assets.translator import RegionTranslator
from assets.work import RegionWork
from contracts.regions import Region
from lake.dbt import EXECUTABLE, PROJECT, target, target_path, window_arguments

NO_UNIT_TESTS = "resource_type:unit_test"
"""They test the SQL, not the data: `make test` runs them."""


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
        """Replace the window's days in every mart; the window is the range of the days asked for."""
        days = days_in(context)
        if keys.DUE_ONLY in context.run.tags:
            days = sorted(set(days) & set(work.due_marts()))
        sequences = work.staged_sequences(days)
        with told_safely("dbt build"), environment(work.dbt_environment()):
            yield from dbt(region.name).cli(["build", *window_arguments(days)], context=context).stream()
        work.mark_marts(days, sequences)

    return marts


def dbt_project(region: str) -> DbtProject:
    """The project as one region sees it."""
    return DbtProject(project_dir=PROJECT, target_path=target_path(region), target=target(region))


def dbt(region: str) -> DbtCliResource:
    """dbt's command line for one region."""
    return DbtCliResource(
        project_dir=dbt_project(region), dbt_executable=str(EXECUTABLE), global_config_flags=["--no-use-colors"]
    )


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """This process's environment with `variables` for a while: dbt reads its connection from there."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
