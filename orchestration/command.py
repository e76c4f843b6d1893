"""What `fleetlake process` does in a process of one region."""

import os
import time

import msgspec
from dagster import DagsterInstance

from contracts.regions import WORLD
from contracts.settings import RegionSettings, WorldSettings
from orchestration.daemon import is_alive, wait_for
from orchestration.home import prepare_home
from orchestration.location import definitions
from orchestration.orphans import fail_orphans
from orchestration.process import Processed, Tell, only_one, process


def run(region: str, tell: Tell) -> Processed:
    """Bring the region up to date, or watch the daemon do it.

    Raises BadSettings where the environment lacks the region's settings or Dagster's.
    """
    started = time.monotonic()
    os.environ.update(prepare_home(os.environ))
    settings = WorldSettings.load() if region == WORLD else RegionSettings.load()
    repository = definitions(region).get_repository_def()
    with only_one(settings.postgres_dsn.get_secret_value(), tell), DagsterInstance.get() as instance:
        if is_alive(instance):
            done = wait_for(region, repository, instance, tell)
        else:
            fail_orphans(instance, region)
            done = process(region, repository, instance, tell)
    return msgspec.structs.replace(done, seconds=round(time.monotonic() - started, 2))
