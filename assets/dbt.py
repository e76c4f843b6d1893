"""dbt as Dagster calls it: one invocation builds the models of a window of business days and tests them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from dagster import AssetExecutionContext, AssetKey, Output
from dagster_dbt import DbtCliResource, DbtProject
from packaging.version import Version

from assets.partitions import day_key, days_in
from assets.redaction import without_values
from marts.dbt import (
    EXECUTABLE,
    PROJECT,
    target,
    target_path,
    window_arguments,
)

NO_UNIT_TESTS = "resource_type:unit_test"
"""They test the SQL, not the data: `make test` runs them."""


def dbt_project(region: str) -> DbtProject:
    """The project as one region (or `world`) sees it."""
    return DbtProject(project_dir=PROJECT, target_path=target_path(region), target=target(region))


class Dbt(DbtCliResource):
    """dbt's command line, started at once.

    dagster-dbt first runs `dbt --version`, then loads dbt and connects an adapter in this process, for features that
    are not used here: together as long as a build takes.
    """

    @cached_property
    def _cli_version(self) -> Version:
        return Version(version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> None:  # type: ignore[override]
        return None


class Database(Protocol):
    """What a build asks of the work whose database it builds in."""

    def dbt_environment(self) -> Mapping[str, str]:
        """The variables with which dbt reaches it."""
        ...

    def mart_rows(self, mart: str, days: Sequence[date]) -> Mapping[date, int]:
        """Rows of a mart that has a column `day`, by day."""
        ...


def days_wanted(context: AssetExecutionContext) -> list[date]:
    """The business days that a run covers; none where it selects only models that have no days."""
    return days_in(context) if context.selected_asset_keys & _with_days(context) else []


def covers_days(context: AssetExecutionContext) -> bool:
    """Whether the run builds every model that has days: only then are its days done."""
    return _with_days(context) <= set(context.selected_asset_keys)


def built(context: AssetExecutionContext, region: str, days: Sequence[date], work: Database) -> Iterator[Any]:
    """Build the models over the range of `days` and yield what dbt reports, with the rows that each day has.

    Nothing is done where models that have days were selected and no day is due.

    Raises StepFailed where a model or a test fails; dbt's own words stay in the code server's log, since they may
    quote a row.
    """
    if not days and context.selected_asset_keys & _with_days(context):
        context.log.info("nothing was due any more")
        return
    dbt = Dbt(
        project_dir=dbt_project(region),  # type: ignore[arg-type]
        dbt_executable=str(EXECUTABLE),
        global_config_flags=["--no-use-colors"],
    )
    with (
        without_values("dbt build"),
        _variables(work.dbt_environment()),
        TemporaryDirectory(prefix=f"dbt-{region}-") as artifacts,
    ):
        building = dbt.cli(["build", *window_arguments(days)], context=context, target_path=Path(artifacts))
        for event in building.stream():
            if isinstance(event, Output):
                _count(context, context.asset_key_for_output(event.output_name), days, work)
            yield event


def _count(context: AssetExecutionContext, key: AssetKey, days: Sequence[date], work: Database) -> None:
    if key in _with_days(context):
        for day, rows in work.mart_rows(key.path[-1], days).items():
            context.add_asset_metadata({"dagster/partition_row_count": rows}, key, partition_key=day_key(day))


def _with_days(context: AssetExecutionContext) -> set[AssetKey]:
    """The models of these assets that are partitioned by business day."""
    return {key for key, spec in context.assets_def.specs_by_key.items() if spec.partitions_def is not None}


@contextmanager
def _variables(variables: Mapping[str, str]) -> Iterator[None]:
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
