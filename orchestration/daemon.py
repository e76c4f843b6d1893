"""When Dagster's daemon runs, runs are its business: `process` only watches."""

import time

from dagster import DagsterInstance, RepositoryDefinition, RunsFilter

from orchestration.attempts import WORK, attempts_of
from orchestration.process import Processed, Tell, evaluate
from orchestration.sensors import work_of

SENSOR_DAEMON = "SENSOR"
ALIVE_WITHIN_S = 75.0
"""The daemon's heart beats every 30 s."""
GIVE_UP_AFTER_S = 600.0
_LOOK_EVERY_S = 2.0


def is_alive(instance: DagsterInstance) -> bool:
    """Whether a daemon evaluates sensors on this instance."""
    beat = instance.get_daemon_heartbeats().get(SENSOR_DAEMON)
    return beat is not None and time.time() - beat.timestamp < ALIVE_WITHIN_S


def forget(instance: DagsterInstance) -> None:
    """Take the daemon's heartbeats away once it has ended, so that nobody waits for it."""
    instance.wipe_daemon_heartbeats()


def wait_for(name: str, repository: RepositoryDefinition, instance: DagsterInstance, tell: Tell) -> Processed | None:
    """Wait until nothing is due and no run is under way; None where the daemon died meanwhile.

    Not `ok` where nothing changes for GIVE_UP_AFTER_S.

    Evaluating a sensor here only reads levels: the requests are left to the daemon.
    """
    started = changed = time.monotonic()
    before: list[str] | None = None
    while True:
        behind = _behind(repository, instance)
        if not behind:
            return Processed(name, True, [], time.monotonic() - started, by_daemon=True)
        if not is_alive(instance):
            tell("the daemon has ended")
            return None
        if behind != before:
            tell("left to the daemon: " + "; ".join(behind))
            before, changed = behind, time.monotonic()
        elif time.monotonic() - changed > GIVE_UP_AFTER_S:
            return Processed(name, False, [], time.monotonic() - started, by_daemon=True)
        time.sleep(_LOOK_EVERY_S)


def _behind(repository: RepositoryDefinition, instance: DagsterInstance) -> list[str]:
    found = []
    for sensor in repository.sensor_defs:
        work = work_of(sensor)
        if attempts_of(instance, work).under_way:
            (run, *_) = instance.get_runs(RunsFilter(tags={WORK: work}), limit=1)
            found.append(f"{work} run {run.run_id[:8]} {run.status.value.lower()}")
        else:
            requests = evaluate(sensor, repository, instance).run_requests or []
            found += [f"{work} {request.run_key}" for request in requests]
    return found
