"""Runs whose process is gone: nothing will ever end them, so whoever comes next does, and their work is due again."""

import os

import psutil
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DefaultRunLauncher, RunsFilter
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES, DagsterRunStatus

from orchestration.attempts import WORK

HERE = "fleetlake/process"
"""Tag of a run executed by `fleetlake process`: machine, process and when that process began, as ids are reused."""
_CLOCK_S = 2.0
"""How far the kernel's word for when a process began may be off."""
_WAITING = (DagsterRunStatus.NOT_STARTED, DagsterRunStatus.QUEUED)


def here() -> dict[str, str]:
    """The tag for runs of this process."""
    return {HERE: f"{os.uname().nodename}:{os.getpid()}:{int(psutil.Process().create_time())}"}


def fail_orphans(instance: DagsterInstance, region: str | None = None) -> list[str]:
    """Fail the unfinished runs whose process on this machine has died; their ids.

    region: only its runs, and those too that were queued or made and never started: no daemon will launch them, while
    a daemon that starts takes them up.
    Only for an instance that launches runs as processes of this machine, while no daemon runs.
    """
    if not isinstance(instance.run_launcher, DefaultRunLauncher):
        return []
    statuses = [*IN_PROGRESS_RUN_STATUSES, *(_WAITING if region else [])]
    runs = instance.get_runs(RunsFilter(statuses=statuses))
    mine = [run for run in runs if region is None or run.tags.get(WORK, "").startswith(f"{region}/")]
    orphans = [run for run in mine if _is_orphan(instance, run)]
    for run in orphans:
        instance.report_run_failed(run, "its process is gone; what it left undone is due again")
    return [run.run_id for run in orphans]


def _is_orphan(instance: DagsterInstance, run: DagsterRun) -> bool:
    node, _, process = run.tags.get(HERE, "").partition(":")
    if node:
        pid, _, began = process.partition(":")
        return node == os.uname().nodename and not _lives(int(pid), int(began or 0))
    launched = _launched_as(instance, run)
    if launched is None:
        return run.status in (*_WAITING, DagsterRunStatus.STARTING)
    return not _lives(*launched)


def _launched_as(instance: DagsterInstance, run: DagsterRun) -> tuple[int, float] | None:
    """The process that a code server started for the run, and by when, as the run's first events tell."""
    for record in instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT):
        event = record.dagster_event
        if event is not None and (pid := event.engine_event_data.metadata.get("pid")) is not None:
            return int(str(pid.value)), record.timestamp
    return None


def _lives(pid: int, began_by: float) -> bool:
    """Whether that process runs and is the one that had begun by then: ids are used again, soon after a reboot."""
    try:
        process = psutil.Process(pid)
        ended = process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        return not ended and process.create_time() < began_by + _CLOCK_S
    except psutil.NoSuchProcess:
        return False
