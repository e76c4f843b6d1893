"""Entry points of `fleetlake process`, `maintain` and `retention` in a process of one region."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from dagster import AssetKey, DagsterInstance, RunRequest

from assets.keys import retention, table_health
from contracts.regions import WORLD
from contracts.settings import RegionSettings, WorldSettings
from lake.store_watch import ending_with_its_stores
from lake.stores import LAKE
from orchestration.attempts import ATTEMPT, WORK
from orchestration.definitions import definitions
from orchestration.local.daemon_heartbeat import is_alive
from orchestration.local.dagster_home import prepare_home
from orchestration.local.priority import give_way
from orchestration.local.process import (
    Processed,
    Progress,
    only_one,
    process,
)
from orchestration.local.run_in_process import execute
from orchestration.local.stdio import output_redirected_to
from orchestration.local.wait_for_daemon import wait_for
from orchestration.sensors import MAX_RUNTIME


def run(region: str) -> Processed:
    """Execute the region's due runs, or wait while a daemon does; reports progress on standard error.

    The output of Spark and dbt goes to DAGSTER_HOME's logs. Raises BadSettings where the environment lacks the region's
    settings or Dagster's.
    """
    return _with_progress(region, _run)


def maintain(region: str) -> Processed:
    """Execute one run of the region's maintenance, as its schedule does each night. Raises as `run`."""
    return _with_progress(region, _maintain)


def retain(region: str) -> Processed:
    """Execute one run of the region's retention, as its schedule does each night. Raises as `run`."""
    return _with_progress(region, _retain)


def _with_progress(region: str, work: Callable[..., Processed]) -> Processed:
    started = time.monotonic()
    give_way()
    os.environ.update(prepare_home(os.environ))
    settings = WorldSettings.load() if region == WORLD else RegionSettings.load()
    with output_redirected_to(Path(os.environ["DAGSTER_HOME"]) / "logs" / f"process-{region}.log") as stderr:

        def progress(line: str) -> None:
            print(line, file=stderr, flush=True)

        with ending_with_its_stores(settings, LAKE, progress):
            done = work(region, settings, progress)
    return msgspec.structs.replace(done, seconds=round(time.monotonic() - started, 2))


def _run(region: str, settings: RegionSettings | WorldSettings, progress: Progress) -> Processed:
    repository = definitions(region).get_repository_def()
    with only_one(settings.postgres_dsn.get_secret_value(), progress), DagsterInstance.get() as instance:
        # Without a pool the storage opens a connection a statement, which takes as long as the statement.
        instance.optimize_for_webserver(statement_timeout=60_000, pool_recycle=3600, max_overflow=10)
        left = wait_for(region, repository, instance, progress) if is_alive(instance) else None
        if left is not None and not left.ok:
            return left
        # What a daemon leaves for later, such as the hour that still grows, is done here.
        done = process(region, repository, instance, progress)
        return msgspec.structs.replace(done, by_daemon=left is not None and not done.runs)


def _maintain(region: str, settings: RegionSettings | WorldSettings, progress: Progress) -> Processed:
    return _one_run(region, table_health(region), "maintenance", progress)


def _retain(region: str, settings: RegionSettings | WorldSettings, progress: Progress) -> Processed:
    return _one_run(region, retention(region), "retention", progress)


def _one_run(region: str, asset: AssetKey, name: str, progress: Progress) -> Processed:
    """Merges go on beside it: it takes no lock of theirs."""
    started, work = time.monotonic(), f"{region}/{name}"
    repository = definitions(region).get_repository_def()
    progress(work)
    request = RunRequest(asset_selection=[asset], tags={WORK: work, ATTEMPT: "1", **MAX_RUNTIME})
    with DagsterInstance.get() as instance:
        instance.optimize_for_webserver(statement_timeout=60_000, pool_recycle=3600, max_overflow=10)
        report = execute(request, None, repository, instance, region)
    return Processed(region, report.ok, [report], time.monotonic() - started, error=report.error)
