"""While Dagster's daemon runs, it launches the runs and `process` waits for it."""

import time
from datetime import UTC, datetime

import msgspec
from dagster import DagsterInstance, DagsterRunStatus, RepositoryDefinition, RunsFilter

from orchestration.attempts import WORK, Attempts, attempts_of
from orchestration.local.daemon_heartbeat import is_alive
from orchestration.local.process import Processed, Progress, evaluate
from orchestration.sensors import NO_REST, in_flow, work_of

GIVE_UP_AFTER_S = 600.0
_LOOK_EVERY_S = 2.0
_RUNNING = (DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING)


class PendingWork(msgspec.Struct, frozen=True):
    """One kind of work that is due or in progress."""

    status: str
    """For the progress line."""
    if_stuck: str
    """The likely cause where nothing changes any more."""
    running: bool = False
    """Whether a run works on it now: such a run may take as long as it needs."""


def wait_for(
    name: str, repository: RepositoryDefinition, instance: DagsterInstance, progress: Progress
) -> Processed | None:
    """Wait until nothing is due and no run is under way; None where the daemon ends meanwhile.

    Not `ok` where no run works and nothing changes for GIVE_UP_AFTER_S. Evaluating a sensor here only reads what is
    due: the daemon launches the runs.
    """
    started = changed = time.monotonic()
    previous: list[PendingWork] | None = None
    while True:
        pending = pending_work(repository, instance)
        if not pending:
            return Processed(name, True, [], time.monotonic() - started, by_daemon=True)
        if not is_alive(instance):
            progress("the daemon has ended")
            return None
        if pending != previous:
            progress("left to the daemon: " + "; ".join(one.status for one in pending))
        if pending != previous or any(one.running for one in pending):
            previous, changed = pending, time.monotonic()
        elif time.monotonic() - changed > GIVE_UP_AFTER_S:
            why = "; ".join(one.if_stuck for one in pending)
            return Processed(name, False, [], time.monotonic() - started, by_daemon=True, error=why)
        time.sleep(_LOOK_EVERY_S)


def pending_work(repository: RepositoryDefinition, instance: DagsterInstance) -> list[PendingWork]:
    """What the location's sensors would request now, and the runs that are under way."""
    found = []
    for sensor in in_flow(repository):
        work = work_of(sensor)
        attempts = attempts_of(instance, work)
        if attempts.under_way:
            (run, *_) = instance.get_runs(RunsFilter(tags={WORK: work}), limit=1)
            status = f"{work} run {run.run_id[:8]} {run.status.value.lower()}"
            found.append(PendingWork(status, f"{status}: the daemon does not start it", run.status in _RUNNING))
        else:
            requests = evaluate(sensor, repository, instance, NO_REST).run_requests or []
            rest = _why_it_rests(attempts)
            cause = attempts.backoff_message() or rest or "asked for and not launched; is the sensor off?"
            found += [
                PendingWork(f"{work}: {rest}" if rest else f"{work} {request.run_key}", f"{work}: {cause}")
                for request in requests
            ]
    return found


def _why_it_rests(attempts: Attempts) -> str:
    """Why the daemon does not ask for due work now; empty where it is about to."""
    if attempts.backing_off(datetime.now(UTC)):
        return attempts.backoff_message()
    return f"waits until the store answers ({attempts.reason})" if attempts.outage else ""
