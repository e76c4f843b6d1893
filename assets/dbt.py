"""dbt as Dagster calls it: one invocation builds the models of a window of business days and tests them."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dagster import AssetExecutionContext, AssetKey, DailyPartitionsDefinition, Output
from dagster_dbt import DagsterDbtCliRuntimeError, DagsterDbtTranslator, DbtCliInvocation, DbtProject
from dagster_dbt.asset_utils import DBT_INDIRECT_SELECTION_ENV, get_updated_cli_invocation_params_for_context
from packaging.version import Version

from assets.partitions import day_key, days_of_run, own_partitions
from assets.redaction import safe_text, without_values
from assets.work import Database
from contracts.environment import inherited
from contracts.errors import StoreUnavailable
from marts.dbt import EXECUTABLE, PROJECT, target, target_path, window_arguments

_END_WITHIN_S = 25.0
NO_UNIT_TESTS = "resource_type:unit_test"
"""They test the SQL, not the data: `make test` runs them."""


def dbt_project(region: str) -> DbtProject:
    """The project as one region (or `world`) sees it."""
    return DbtProject(project_dir=PROJECT, target_path=target_path(region), target=target(region))


def days_wanted(
    context: AssetExecutionContext,
    partitions: DailyPartitionsDefinition,
    *,
    due: Callable[[], Iterable[date]],
    known: Callable[[], Iterable[date]],
) -> list[date]:
    """The business days that a run builds; none where it selects only models that have no days."""
    if not context.selected_asset_keys & _with_days(context):
        return []
    return days_of_run(context, partitions, due=due, known=known)


def covers_days(context: AssetExecutionContext) -> bool:
    """Whether the run builds every model that has days: only then are its days done."""
    return _with_days(context) <= set(context.selected_asset_keys)


def built(
    context: AssetExecutionContext,
    region: str,
    days: Sequence[date],
    database: Database,
    partitions: DailyPartitionsDefinition,
) -> Iterator[Any]:
    """Build the models over `days` and yield what dbt reports, with the rows that each day has.

    Does nothing where models that have days were selected and no day is due.

    Raises StepFailed where a model or a test fails. dbt's own messages stay in the code server's log, since they may
    quote a row.
    """
    if not days and context.selected_asset_keys & _with_days(context):
        context.log.info("nothing is due any more")
        return
    with without_values("dbt build"), TemporaryDirectory(prefix=f"dbt-{region}-") as artifacts:
        invocation = _dbt_build(context, region, days, database.dbt_environment(), Path(artifacts))
        with _ended(invocation.process):
            for event in _told_of_outages(invocation.stream(), database):
                if isinstance(event, Output):
                    key = context.asset_key_for_output(event.output_name)
                    _count(context, key, own_partitions(days, partitions), database)
                yield event


@contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Outside, dbt does not run any more: it would build beside the next attempt, and write where its files were."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_END_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _told_of_outages(events: Iterable[Any], database: Database) -> Iterator[Any]:
    """The events of a build; where it fails while its database is away, that is an outage. dbt's error does not say."""
    try:
        yield from events
    except DagsterDbtCliRuntimeError as error:
        if (store := database.away()) is None:
            raise
        raise StoreUnavailable(f"dbt build: {store} does not answer ({safe_text(error)})") from None


def _dbt_build(
    context: AssetExecutionContext, region: str, days: Sequence[date], variables: Mapping[str, str], artifacts: Path
) -> DbtCliInvocation:
    """Start dbt with `variables` and the machine's environment alone.

    DbtCliResource.cli would start dbt with this process's environment, run `dbt --version` and connect an adapter of
    its own, for features that are not used here and that take as long as a build.
    """
    chosen = get_updated_cli_invocation_params_for_context(
        context=context, manifest={}, dagster_dbt_translator=DagsterDbtTranslator()
    )
    environment = inherited(os.environ) | dict(variables) | _for_dagster(artifacts)
    if chosen.indirect_selection:
        environment[DBT_INDIRECT_SELECTION_ENV] = chosen.indirect_selection
    build = ["build", *window_arguments(days), "--target", target(region)]
    return DbtCliInvocation.run(
        args=[str(EXECUTABLE), "--no-use-colors", *build, *chosen.selection_args],
        env=environment,
        manifest=chosen.manifest,
        dagster_dbt_translator=chosen.dagster_dbt_translator,
        project_dir=PROJECT,
        target_path=artifacts,
        raise_on_error=True,
        context=context,
        adapter=None,
        cli_version=Version(version("dbt-core")),
        dbt_project=chosen.dbt_project,
    )


def _for_dagster(artifacts: Path) -> dict[str, str]:
    """The variables with which dbt logs what dagster-dbt reads."""
    return {
        "DAGSTER_DBT_CLI": "true",
        "PYTHONUNBUFFERED": "1",
        "DBT_LOG_FORMAT": "json",
        "DBT_TARGET_PATH": str(artifacts),
        "DBT_LOG_PATH": str(artifacts),
    }


def _count(context: AssetExecutionContext, key: AssetKey, days: Sequence[date], database: Database) -> None:
    if key in _with_days(context):
        for day, rows in database.mart_rows(key.path[-1], days).items():
            context.add_asset_metadata({"dagster/partition_row_count": rows}, key, partition_key=day_key(day))


def _with_days(context: AssetExecutionContext) -> set[AssetKey]:
    """The models of these assets that are partitioned by business day."""
    return {key for key, spec in context.assets_def.specs_by_key.items() if spec.partitions_def is not None}
