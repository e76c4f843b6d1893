"""dbt as Dagster calls it: one invocation builds the models of a window of business days and tests them."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

from dagster import AssetExecutionContext
from dagster_dbt import DbtCliResource, DbtProject

from assets.faults import told_safely
from lake.dbt import EXECUTABLE, PROJECT, target, target_path, window_arguments

NO_UNIT_TESTS = "resource_type:unit_test"
"""They test the SQL, not the data: `make test` runs them."""


def dbt_project(region: str) -> DbtProject:
    """The project as one region (or `world`) sees it."""
    return DbtProject(project_dir=PROJECT, target_path=target_path(region), target=target(region))


def built(
    context: AssetExecutionContext, region: str, days: Sequence[date], environment: Callable[[], Mapping[str, str]]
) -> Iterator[Any]:
    """Build the models over the range of `days` and yield what dbt reports; nothing where no day is due.

    Raises StepFailed where a model or a test fails; dbt's own words stay in the code server's log, since they may
    quote a row.
    """
    if not days:
        context.log.info("nothing was due any more")
        return
    dbt = DbtCliResource(
        project_dir=dbt_project(region), dbt_executable=str(EXECUTABLE), global_config_flags=["--no-use-colors"]
    )
    with told_safely("dbt build"), _variables(environment()):
        yield from dbt.cli(["build", *window_arguments(days)], context=context).stream()


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
