"""The runs that the sensors would ask for, executed here and now until nothing is due.

Sensors are evaluated as the daemon evaluates them and each request is executed in this process with the same tags, so
the runs look alike in Dagster and the two can take turns.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from dagster import (
    AssetCheckSeverity,
    DagsterInstance,
    RepositoryDefinition,
    RunRequest,
    SensorDefinition,
    build_sensor_context,
)
from dagster._core.definitions.sensor_definition import SensorExecutionData

from contracts.errors import FleetlakeError
from orchestration.attempts import ATTEMPT, WORK, attempts_of
from orchestration.local.daemon_heartbeat import is_alive
from orchestration.local.orphaned_runs import fail_orphans, here
from orchestration.sensors import AT_ONCE, MAX_RUNTIME_S, in_flow, work_of

_LOOK_EVERY_S = 2.0
_ROUNDS = 20
"""Rounds after which something must be due for ever: no honest backlog needs as many."""
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
Tell = Callable[[str], None]


class StillUnderWay(FleetlakeError):
    """A run that someone else launched does not end."""


class RunDone(msgspec.Struct, frozen=True):
    """One run: what it was for, what it covered and how it ended."""

    work: str
    attempt: int
    assets: int
    first: str
    last: str
    ok: bool
    seconds: float
    steps: dict[str, float]
    """Seconds by step."""
    failed_checks: list[str]
    warnings: list[str]
    run_id: str
    error: str | None = None


class Processed(msgspec.Struct, frozen=True):
    """What `process` did in one code location."""

    region: str
    ok: bool
    runs: list[RunDone]
    seconds: float
    by_daemon: bool = False
    error: str | None = None
    """Why it is not `ok`, for people."""


def process(name: str, repository: RepositoryDefinition, instance: DagsterInstance, tell: Tell) -> Processed:
    """Evaluate the location's sensors in the order of the data's flow, and run what they ask for, until nothing is due.

    Stops at the first run that fails: asking again at once would fail again. A run that someone else launched is
    waited for. Raises StillUnderWay where that one does not end.
    """
    started, runs = time.monotonic(), list[RunDone]()

    def processed(error: str | None = None) -> Processed:
        return Processed(name, error is None, runs, time.monotonic() - started, error=error)

    for _ in range(_ROUNDS):
        found = wait_for_others(name, repository, instance, tell)
        for sensor in in_flow(repository):
            for request in ask(sensor, repository, instance):
                found = True
                tell(f"{request.tags[WORK]} {_range(request)}")
                runs.append(execute(request, sensor, repository, instance))
                if not runs[-1].ok:
                    return processed(f"{runs[-1].work} {_range(request)}: {runs[-1].error}")
        if not found:
            return processed()
    return processed(f"something is due again after each of {_ROUNDS} rounds")


def wait_for_others(name: str, repository: RepositoryDefinition, instance: DagsterInstance, tell: Tell) -> bool:
    """Whether runs of this location were under way; none is when it returns.

    Runs whose process is gone are failed, unless a daemon has come that looks after them. Raises StillUnderWay where
    one goes on for longer than any may.
    """
    works = [work_of(sensor) for sensor in repository.sensor_defs]
    deadline = time.monotonic() + MAX_RUNTIME_S
    waited = False
    while under_way := [work for work in works if attempts_of(instance, work).under_way]:
        if not waited:
            tell(f"waiting for the run of {', '.join(under_way)}")
        elif time.monotonic() > deadline:
            raise StillUnderWay(f"the run of {', '.join(under_way)} does not end; terminate it in Dagster")
        waited = True
        if is_alive(instance) or not fail_orphans(instance, name):
            time.sleep(_LOOK_EVERY_S)
    return waited


def ask(sensor: SensorDefinition, repository: RepositoryDefinition, instance: DagsterInstance) -> list[RunRequest]:
    """What the sensor asks for now; what it has to report about upstream assets is reported."""
    told = evaluate(sensor, repository, instance)
    for event in told.asset_events:
        instance.report_runless_asset_event(event)
    return list(told.run_requests or [])


def evaluate(
    sensor: SensorDefinition, repository: RepositoryDefinition, instance: DagsterInstance, cursor: str | None = AT_ONCE
) -> SensorExecutionData:
    """One evaluation of a sensor outside the daemon; with AT_ONCE it does not rest after failures."""
    resources = repository.get_top_level_resources()
    with build_sensor_context(
        instance=instance,
        repository_def=repository,
        sensor_name=sensor.name,
        cursor=cursor,
        resources={key: resources[key] for key in sensor.required_resource_keys},
    ) as context:
        return sensor.evaluate_tick(context)


def execute(
    request: RunRequest, sensor: SensorDefinition, repository: RepositoryDefinition, instance: DagsterInstance
) -> RunDone:
    """Execute one request in this process, tagged as the daemon would tag it."""
    job = repository.get_job("__ASSET_JOB").get_subset(
        asset_selection=set(request.asset_selection or ()), asset_check_selection=set(request.asset_check_keys or ())
    )
    tags = {**request.tags, **here(), "dagster/sensor_name": sensor.name, "dagster/run_key": str(request.run_key)}
    started = time.monotonic()
    result = job.execute_in_process(instance=instance, tags=tags, run_config=_QUIET, raise_on_error=False)
    return _done(request, result, time.monotonic() - started)


def _done(request: RunRequest, result: Any, seconds: float) -> RunDone:
    first, _, last = _range(request).partition(" to ")
    steps = {
        event.step_key: event.step_success_data.duration_ms / 1000
        for event in result.all_events
        if event.is_step_success
    }
    return RunDone(
        work=request.tags[WORK],
        attempt=int(request.tags[ATTEMPT]),
        assets=len(request.asset_selection or ()),
        first=first,
        last=last or first,
        ok=result.success,
        seconds=round(seconds, 2),
        steps=steps,
        failed_checks=_not_passed(result, AssetCheckSeverity.ERROR),
        warnings=_not_passed(result, AssetCheckSeverity.WARN),
        run_id=result.run_id,
        error=_error(result),
    )


def _not_passed(result: Any, severity: AssetCheckSeverity) -> list[str]:
    checks = result.get_asset_check_evaluations()
    return [
        check.asset_check_key.to_user_string() for check in checks if not check.passed and check.severity == severity
    ]


def _error(result: Any) -> str | None:
    for event in result.all_events:
        if event.is_step_failure:
            cause = event.step_failure_data.error
            while cause is not None and cause.cause is not None:
                cause = cause.cause
            return f"{event.step_key}: {cause.message.strip() if cause else 'failed'}"
    return None if result.success else "the run failed before its first step; see it in Dagster"


def _range(request: RunRequest) -> str:
    span = request.partition_key_range
    if span is None:
        return ""
    return span.start if span.start == span.end else f"{span.start} to {span.end}"


@contextmanager
def only_one(dsn: str, tell: Tell) -> Iterator[None]:
    """Hold the region's lock: one `process` a region at a time. It is let go however this process ends."""
    import psycopg

    with psycopg.connect(dsn, autocommit=True, application_name="fleetlake-process") as connection:
        taken = connection.execute("select pg_try_advisory_lock(hashtext('fleetlake process'))").fetchone()
        if not taken or not taken[0]:
            tell("waiting for another `fleetlake process`")
            connection.execute("select pg_advisory_lock(hashtext('fleetlake process'))")
        yield
