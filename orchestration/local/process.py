"""Executes the runs that the sensors request, in this process, until nothing is due.

Sensors are evaluated as the daemon evaluates them, and each run is recorded as the daemon would record it: the two look
alike in Dagster and can take turns.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
from dagster import (
    DagsterInstance,
    RepositoryDefinition,
    RunRequest,
    SensorDefinition,
    build_sensor_context,
)
from dagster._core.definitions.sensor_definition import SensorExecutionData

from contracts.errors import FleetlakeError
from orchestration.attempts import WORK, attempts_of
from orchestration.local.daemon_heartbeat import is_alive
from orchestration.local.orphaned_runs import fail_orphans
from orchestration.local.run_in_process import RunReport, execute, partition_range
from orchestration.sensors import AT_ONCE, MAX_RUNTIME_S, in_flow, work_of

_LOOK_EVERY_S = 2.0
_ROUNDS = 20
"""No backlog needs as many rounds: something is due again whatever is done."""
Progress = Callable[[str], None]
"""Prints a line for whoever waits."""


class StillUnderWay(FleetlakeError):
    """A run that another process executes does not end."""


class Processed(msgspec.Struct, frozen=True):
    """The outcome of `process` in one code location."""

    region: str
    ok: bool
    runs: list[RunReport]
    seconds: float
    by_daemon: bool = False
    error: str | None = None
    """Why it is not `ok`."""


def process(name: str, repository: RepositoryDefinition, instance: DagsterInstance, progress: Progress) -> Processed:
    """Evaluate the location's sensors in the order in which data flows and execute their requests until nothing is due.

    Stops at the first run that fails: the same request would fail again. Waits for runs that another process executes.
    Raises StillUnderWay where such a run does not end.
    """
    started, runs = time.monotonic(), list[RunReport]()

    def processed(error: str | None = None) -> Processed:
        return Processed(name, error is None, runs, time.monotonic() - started, error=error)

    for _ in range(_ROUNDS):
        found = wait_for_others(name, repository, instance, progress)
        for sensor in in_flow(repository):
            for request in run_requests(sensor, repository, instance):
                found = True
                progress(f"{request.tags[WORK]} {partition_range(request)}")
                runs.append(execute(request, sensor, repository, instance, name))
                if not runs[-1].ok:
                    return processed(f"{runs[-1].work} {partition_range(request)}: {runs[-1].error}")
        if not found:
            return processed()
    return processed(f"something is due again after each of {_ROUNDS} rounds")


def wait_for_others(name: str, repository: RepositoryDefinition, instance: DagsterInstance, progress: Progress) -> bool:
    """Wait until no run of this location is under way; whether one was.

    Fails the runs whose process is gone, unless a daemon now runs, which monitors them. Raises StillUnderWay where a
    run exceeds the maximum run time.
    """
    works = [work_of(sensor) for sensor in repository.sensor_defs]
    deadline = time.monotonic() + MAX_RUNTIME_S
    waited = False
    while under_way := [work for work in works if attempts_of(instance, work).under_way]:
        if not waited:
            progress(f"waiting for the run of {', '.join(under_way)}")
        elif time.monotonic() > deadline:
            raise StillUnderWay(f"the run of {', '.join(under_way)} does not end; terminate it in Dagster")
        waited = True
        if is_alive(instance) or not fail_orphans(instance, name):
            time.sleep(_LOOK_EVERY_S)
    return waited


def run_requests(
    sensor: SensorDefinition, repository: RepositoryDefinition, instance: DagsterInstance
) -> list[RunRequest]:
    """The runs that the sensor requests now; reports the asset events that come with them."""
    found = evaluate(sensor, repository, instance)
    for event in found.asset_events:
        instance.report_runless_asset_event(event)
    return list(found.run_requests or [])


def evaluate(
    sensor: SensorDefinition,
    repository: RepositoryDefinition,
    instance: DagsterInstance,
    cursor: str | None = AT_ONCE,
) -> SensorExecutionData:
    """One evaluation of a sensor outside the daemon; AT_ONCE asks as a person who waits."""
    resources = repository.get_top_level_resources()
    with build_sensor_context(
        instance=instance,
        repository_def=repository,
        sensor_name=sensor.name,
        cursor=cursor,
        resources={key: resources[key] for key in sensor.required_resource_keys},
    ) as context:
        return sensor.evaluate_tick(context)


@contextmanager
def only_one(dsn: str, progress: Progress) -> Iterator[None]:
    """Hold the region's advisory lock: one `process` a region at a time. It ends with this process."""
    import psycopg

    name, within_s = "fleetlake-process", 10
    with psycopg.connect(dsn, autocommit=True, application_name=name, connect_timeout=within_s) as connection:
        taken = connection.execute("select pg_try_advisory_lock(hashtext('fleetlake process'))").fetchone()
        if not taken or not taken[0]:
            progress("waiting for another `fleetlake process`")
            connection.execute("select pg_advisory_lock(hashtext('fleetlake process'))")
        yield
