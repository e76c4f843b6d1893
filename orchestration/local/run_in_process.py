"""One requested run, executed in this process and recorded as the daemon would record it.

Dagster's UI lists a run under its target and draws it in the Timeline by the run's asset selection and remote job
origin. `JobDefinition.execute_in_process` records neither, so the run is created here and then executed.
"""

import time
from collections.abc import Sequence

import msgspec
from dagster import (
    AssetCheckSeverity,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    JobDefinition,
    RepositoryDefinition,
    RunRequest,
    SensorDefinition,
)
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import create_execution_plan, execute_run_iterator
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.snap import snapshot_from_execution_plan
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from orchestration.attempts import ATTEMPT, WORK
from orchestration.endings import ending_of_events
from orchestration.local.orphaned_runs import process_tag

ASSET_JOB = "__ASSET_JOB"
LOCATION_MODULE = "orchestration.location"
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class RunReport(msgspec.Struct, frozen=True):
    """One run: its kind of work, its partitions and how it ended."""

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


def execute(
    request: RunRequest,
    sensor: SensorDefinition | None,
    repository: RepositoryDefinition,
    instance: DagsterInstance,
    location: str,
) -> RunReport:
    """Execute one request to its end.

    sensor: whose request it is; None for one of a person. location: the code location under which Dagster lists the
    run.
    """
    started = time.monotonic()
    job = repository.get_job(ASSET_JOB)
    run = _create_run(request, sensor, repository, instance, location)
    events = list(execute_run_iterator(InMemoryJob(job), run, instance))
    ended = instance.get_run_by_id(run.run_id)
    ok = ended is not None and ended.status == DagsterRunStatus.SUCCESS
    return _report(request, run.run_id, events, ok, time.monotonic() - started)


def _create_run(
    request: RunRequest,
    sensor: SensorDefinition | None,
    repository: RepositoryDefinition,
    instance: DagsterInstance,
    location: str,
) -> DagsterRun:
    assets, checks = frozenset(request.asset_selection or ()), frozenset(request.asset_check_keys or ())
    job = repository.get_job(ASSET_JOB).get_subset(asset_selection=assets, asset_check_selection=checks)
    asked_by = {"dagster/sensor_name": sensor.name, "dagster/run_key": str(request.run_key)} if sensor else {}
    tags = {**request.tags, **process_tag(), **asked_by}
    plan = create_execution_plan(job, run_config=_QUIET, tags=tags)
    return instance.create_run(
        job_name=job.name,
        run_id=None,
        run_config=_QUIET,
        status=DagsterRunStatus.NOT_STARTED,
        tags=tags,
        root_run_id=None,
        parent_run_id=None,
        step_keys_to_execute=None,
        execution_plan_snapshot=snapshot_from_execution_plan(plan, job.get_job_snapshot_id()),
        job_snapshot=job.get_job_snapshot(),
        parent_job_snapshot=job.get_parent_job_snapshot(),
        asset_selection=assets,
        asset_check_selection=checks,
        resolved_op_selection=None,
        op_selection=None,
        remote_job_origin=_origin(repository, job, location),
        job_code_origin=None,
        asset_graph=job.asset_layer.asset_graph,
    )


def _origin(repository: RepositoryDefinition, job: JobDefinition, location: str) -> RemoteJobOrigin:
    """The job as the code server of `location` serves it: its name is what the UI finds runs by."""
    code = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name=LOCATION_MODULE), location_name=location)
    return RemoteRepositoryOrigin(code, repository.name).get_job_origin(job.name)


def _report(request: RunRequest, run_id: str, events: Sequence[DagsterEvent], ok: bool, seconds: float) -> RunReport:
    first, _, last = partition_range(request).partition(" to ")
    return RunReport(
        work=request.tags[WORK],
        attempt=int(request.tags[ATTEMPT]),
        assets=len(request.asset_selection or ()),
        first=first,
        last=last or first,
        ok=ok,
        seconds=round(seconds, 2),
        steps={
            str(event.step_key): event.step_success_data.duration_ms / 1000 for event in events if event.is_step_success
        },
        failed_checks=_not_passed(events, AssetCheckSeverity.ERROR),
        warnings=_not_passed(events, AssetCheckSeverity.WARN),
        run_id=run_id,
        error=None if ok else _error(events),
    )


def _not_passed(events: Sequence[DagsterEvent], severity: AssetCheckSeverity) -> list[str]:
    checks = [
        event.asset_check_evaluation_data
        for event in events
        if event.event_type == DagsterEventType.ASSET_CHECK_EVALUATION
    ]
    return [
        check.asset_check_key.to_user_string() for check in checks if not check.passed and check.severity == severity
    ]


def _error(events: Sequence[DagsterEvent]) -> str:
    failed = [event for event in events if event.is_step_failure]
    return ending_of_events(failed).reason if failed else "the run failed before its first step; see it in Dagster"


def partition_range(request: RunRequest) -> str:
    """The partitions of a request, for people."""
    span = request.partition_key_range
    if span is None:
        return ""
    return span.start if span.start == span.end else f"{span.start} to {span.end}"
