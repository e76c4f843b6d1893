"""Entry point of `fleetlake process` in a process of one region."""

import os
import time
from pathlib import Path

import msgspec
from dagster import DagsterInstance

from contracts.regions import WORLD
from contracts.settings import RegionSettings, WorldSettings
from lake.store_watch import ending_with_its_stores
from lake.stores import LAKE
from orchestration.definitions import definitions
from orchestration.local.daemon_heartbeat import is_alive
from orchestration.local.dagster_home import prepare_home
from orchestration.local.process import (
    Processed,
    Progress,
    only_one,
    process,
)
from orchestration.local.stdio import output_redirected_to
from orchestration.local.wait_for_daemon import wait_for


def run(region: str) -> Processed:
    """Execute the region's due runs, or wait while a daemon does; reports progress on standard error.

    The output of Spark and dbt goes to DAGSTER_HOME's logs. Raises BadSettings where the environment lacks the region's
    settings or Dagster's.
    """
    started = time.monotonic()
    os.environ.update(prepare_home(os.environ))
    settings = WorldSettings.load() if region == WORLD else RegionSettings.load()
    with output_redirected_to(Path(os.environ["DAGSTER_HOME"]) / "logs" / f"process-{region}.log") as stderr:

        def progress(line: str) -> None:
            print(line, file=stderr, flush=True)

        with ending_with_its_stores(settings, LAKE, progress):
            done = _run(region, settings, progress)
    return msgspec.structs.replace(done, seconds=round(time.monotonic() - started, 2))


def _run(region: str, settings: RegionSettings | WorldSettings, progress: Progress) -> Processed:
    repository = definitions(region).get_repository_def()
    with only_one(settings.postgres_dsn.get_secret_value(), progress), DagsterInstance.get() as instance:
        # Without a pool the storage opens a connection a statement, which takes as long as the statement.
        instance.optimize_for_webserver(statement_timeout=60_000, pool_recycle=3600, max_overflow=10)
        done = wait_for(region, repository, instance, progress) if is_alive(instance) else None
        return done or process(region, repository, instance, progress)
