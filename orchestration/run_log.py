"""The run log is kept for so many days: Dagster itself keeps every run and its events for ever."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from assets.operators import Operators
from orchestration.attempts import LOOK_BACK, WORK

_EVERY_S = 3_600
_AT_ONCE = 200
"""Runs that one evaluation removes: it has to end within the code server's time."""
_ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]


def run_log_sensor(location: str, works: Sequence[str], jobs: Sequence[str] = ()) -> SensorDefinition:
    """The sensor that removes a location's old runs with their events.

    works: kinds of work that sensors request. jobs: names of scheduled jobs.
    """

    @sensor(
        name=f"{location}_run_log",
        minimum_interval_seconds=_EVERY_S,
        default_status=DefaultSensorStatus.RUNNING,
        description="Removes runs that are older than FLEETLAKE_RUN_LOG_DAYS, and their events.",
        required_resource_keys={"operators"},
    )
    def evaluate(context: SensorEvaluationContext) -> SkipReason:
        operators: Operators = context.resources.operators
        days = operators.run_log_days
        if not days:
            return SkipReason("FLEETLAKE_RUN_LOG_DAYS is 0: runs are kept for ever")
        old = old_runs(context.instance, works, jobs, datetime.now(UTC) - timedelta(days=days))
        for run in old:
            context.instance.delete_run(run)
        return SkipReason(f"{len(old)} runs older than {days} days were removed")

    return evaluate


def old_runs(instance: DagsterInstance, works: Sequence[str], jobs: Sequence[str], before: datetime) -> list[str]:
    """Runs that ended and began before that moment, the oldest first, as many as one evaluation removes.

    The newest of each kind of work are kept whatever their age: sensors read from them how the last attempts ended.
    """
    filters = [RunsFilter(tags={WORK: work}, statuses=_ENDED) for work in works]
    filters += [RunsFilter(job_name=job, statuses=_ENDED) for job in jobs]
    found: list[str] = []
    for one in filters:
        newest = {record.dagster_run.run_id for record in instance.get_run_records(one, limit=LOOK_BACK)}
        oldest = instance.get_run_records(one, limit=_AT_ONCE, ascending=True)
        ids = [record.dagster_run.run_id for record in oldest if record.create_timestamp < before]
        found += [run for run in ids if run not in newest]
    return found[:_AT_ONCE]
