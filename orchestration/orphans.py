"""Runs whose process is gone: nothing will ever end them, so whoever comes next does, and their work is due again."""

import os

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from orchestration.attempts import WORK

HERE = "fleetlake/process"
"""Tag of a run executed by `fleetlake process`: the process that executes it."""


_ENDED = {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}
_UNFINISHED = [status for status in DagsterRunStatus if status not in _ENDED]
"""NOT_STARTED too: a process may be killed between making a run and starting it."""


def here() -> dict[str, str]:
    """The tag for runs of this process."""
    return {HERE: f"{os.uname().nodename}:{os.getpid()}"}


def fail_orphans(instance: DagsterInstance, region: str) -> list[str]:
    """Fail the region's unfinished runs that a `process` on this machine left behind when it was killed; their ids."""
    runs = instance.get_runs(RunsFilter(statuses=_UNFINISHED))
    orphans = [run for run in runs if run.tags.get(WORK, "").startswith(f"{region}/") and _is_orphan(run)]
    for run in orphans:
        instance.report_run_failed(run, "its process is gone; what it left undone is due again")
    return [run.run_id for run in orphans]


def _is_orphan(run: DagsterRun) -> bool:
    node, _, pid = run.tags.get(HERE, "").partition(":")
    return node == os.uname().nodename and pid.isdecimal() and not _lives(int(pid))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
