"""Runs whose process is gone. Nothing else ends them: whoever starts next fails them, and their work is due again."""

import os

import psutil
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DefaultRunLauncher, RunsFilter
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES, DagsterRunStatus

from orchestration.attempts import WORK

PROCESS = "fleetlake/process"
"""Tag of a run that `fleetlake process` executes: node, process id and start time, as ids are reused."""
_CLOCK_S = 2.0
"""Error of the start time that the kernel reports."""
_WAITING = (DagsterRunStatus.NOT_STARTED, DagsterRunStatus.QUEUED)


def process_tag() -> dict[str, str]:
    """The tag of runs that this process executes."""
    return {PROCESS: f"{os.uname().nodename}:{os.getpid()}:{int(psutil.Process().create_time())}"}


def fail_orphans(instance: DagsterInstance, region: str | None = None, *, daemon_runs: bool = False) -> list[str]:
    """Fail the unfinished runs whose process on this machine has died; their ids.

    region: limits it to that region's runs, and includes those that were queued or created and never started: without
    a daemon nothing launches them. Without a region they are left to the daemon that is about to start.
    daemon_runs: only runs that had a process; the daemon may be about to launch the others. Without it, call this only
    while no daemon runs. Does nothing on an instance that launches runs elsewhere than on this machine.
    """
    if not isinstance(instance.run_launcher, DefaultRunLauncher):
        return []
    statuses = [*IN_PROGRESS_RUN_STATUSES, *(_WAITING if region else [])]
    runs = instance.get_runs(RunsFilter(statuses=statuses))
    mine = [run for run in runs if region is None or run.tags.get(WORK, "").startswith(f"{region}/")]
    orphans = [run for run in mine if _is_orphan(instance, run, daemon_runs=daemon_runs)]
    for run in orphans:
        instance.report_run_failed(run, "its process is gone; what it left undone is due again")
    return [run.run_id for run in orphans]


def _is_orphan(instance: DagsterInstance, run: DagsterRun, *, daemon_runs: bool) -> bool:
    node, _, process = run.tags.get(PROCESS, "").partition(":")
    if node:
        pid, _, began = process.partition(":")
        return node == os.uname().nodename and not _lives(int(pid), int(began or 0))
    launched = _launched_as(instance, run)
    if launched is None:
        return not daemon_runs and run.status in (*_WAITING, DagsterRunStatus.STARTING)
    return not _lives(*launched)


def _launched_as(instance: DagsterInstance, run: DagsterRun) -> tuple[int, float] | None:
    """The process that a code server started for the run, and a time by which it ran, from the run's first events."""
    for record in instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT):
        event = record.dagster_event
        if event is not None and (pid := event.engine_event_data.metadata.get("pid")) is not None:
            return int(str(pid.value)), record.timestamp
    return None


def _lives(pid: int, began_by: float) -> bool:
    """Whether that process runs and had begun by then: ids are reused, soon after a reboot."""
    try:
        process = psutil.Process(pid)
        ended = process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        return not ended and process.create_time() < began_by + _CLOCK_S
    except psutil.NoSuchProcess:
        return False
