"""When Dagster's daemon runs, runs are its business: `process` only watches."""

import time

import msgspec
from dagster import DagsterInstance, DagsterRunStatus, RepositoryDefinition, RunsFilter

from orchestration.attempts import WORK, attempts_of
from orchestration.local.daemon_heartbeat import is_alive
from orchestration.local.process import Processed, Tell, evaluate
from orchestration.sensors import work_of

GIVE_UP_AFTER_S = 600.0
_LOOK_EVERY_S = 2.0
_WORKS = (DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING)


class Behind(msgspec.Struct, frozen=True):
    """One kind of work that is not done."""

    said: str
    """What it waits for."""
    stuck: str
    """What is wrong where it waits for ever."""
    works: bool = False
    """Whether a run works on it now: how long that takes is no sign of trouble."""


def wait_for(name: str, repository: RepositoryDefinition, instance: DagsterInstance, tell: Tell) -> Processed | None:
    """Wait until nothing is due and no run is under way; None where the daemon died meanwhile.

    Not `ok` where for GIVE_UP_AFTER_S no run works and nothing changes.

    Evaluating a sensor here only reads levels: the requests are left to the daemon.
    """
    started = changed = time.monotonic()
    before: list[Behind] | None = None
    while True:
        behind = _behind(repository, instance)
        if not behind:
            return Processed(name, True, [], time.monotonic() - started, by_daemon=True)
        if not is_alive(instance):
            tell("the daemon has ended")
            return None
        if behind != before:
            tell("left to the daemon: " + "; ".join(one.said for one in behind))
        if behind != before or any(one.works for one in behind):
            before, changed = behind, time.monotonic()
        elif time.monotonic() - changed > GIVE_UP_AFTER_S:
            why = "; ".join(one.stuck for one in behind)
            return Processed(name, False, [], time.monotonic() - started, by_daemon=True, error=why)
        time.sleep(_LOOK_EVERY_S)


def _behind(repository: RepositoryDefinition, instance: DagsterInstance) -> list[Behind]:
    found = []
    for sensor in repository.sensor_defs:
        work = work_of(sensor)
        attempts = attempts_of(instance, work)
        if attempts.under_way:
            (run, *_) = instance.get_runs(RunsFilter(tags={WORK: work}), limit=1)
            said = f"{work} run {run.run_id[:8]} {run.status.value.lower()}"
            found.append(Behind(said, f"{said}: the daemon does not start it", run.status in _WORKS))
        else:
            stuck = attempts.resting_words() or "asked for and not launched; is the sensor off?"
            requests = evaluate(sensor, repository, instance).run_requests or []
            found += [Behind(f"{work} {request.run_key}", f"{work}: {stuck}") for request in requests]
    return found
