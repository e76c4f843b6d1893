"""Runs whose process is gone are found and failed; whoever waits for one waits no longer than its process lives."""

import os
import subprocess
import time

import psutil
import pytest
from dagster import DagsterEvent, DagsterEventType, DagsterRunStatus, EventLogEntry, MetadataValue
from dagster._core.events import EngineEventData

from orchestration.local.orphaned_runs import PROCESS, fail_orphans, process_tag
from orchestration.local.process import StillUnderWay, process
from tests.builders.orchestration import begin, hours, tick
from tests.builders.stack import eventually


@pytest.mark.parametrize("status", [DagsterRunStatus.STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.NOT_STARTED])
def test_a_run_whose_process_is_gone_is_failed_and_its_work_is_due_again(repository, instance, work, status):
    (request,) = tick(repository, instance, "eu_landing").run_requests
    gone = subprocess.Popen(["true"])
    gone.wait()
    tags = {PROCESS: f"{os.uname().nodename}:{gone.pid}"} if status is DagsterRunStatus.STARTED else {}
    run = begin(instance, repository, request, tags=tags, status=status)

    assert fail_orphans(instance, "eu") == [run.run_id]

    assert process("eu", repository, instance, lambda _: None).ok
    assert work.merged == set(hours(3))


def test_a_process_that_got_a_dead_ones_number_does_not_keep_its_run_alive(repository, instance):
    (request,) = tick(repository, instance, "eu_landing").run_requests
    reused = {PROCESS: f"{os.uname().nodename}:{os.getpid()}:1"}
    run = begin(instance, repository, request, tags=reused, status=DagsterRunStatus.STARTED)

    assert fail_orphans(instance, "eu") == [run.run_id]


def test_a_run_whose_process_lives_is_left_alone(repository, instance):
    (request,) = tick(repository, instance, "eu_landing").run_requests
    begin(instance, repository, request, tags=process_tag(), status=DagsterRunStatus.STARTED)

    assert fail_orphans(instance, "eu") == []


def launched(instance, run, pid, at):
    """The run's first event, as a code server writes it when it has started the run's process."""
    event = DagsterEvent(
        event_type_value=DagsterEventType.ENGINE_EVENT.value,
        job_name=run.job_name,
        event_specific_data=EngineEventData(metadata={"pid": MetadataValue.text(str(pid))}),
    )
    instance.handle_new_event(EventLogEntry(None, 10, "", run.run_id, at, job_name=run.job_name, dagster_event=event))


def test_a_launched_run_lives_as_long_as_the_process_that_had_begun_by_then(repository, instance):
    (request,) = tick(repository, instance, "eu_landing").run_requests
    lives, reused = (begin(instance, repository, request) for _ in range(2))
    launched(instance, lives, os.getpid(), time.time())
    launched(instance, reused, os.getpid(), psutil.Process().create_time() - 60)

    assert fail_orphans(instance, "eu") == [reused.run_id]


def test_a_process_that_ended_and_that_nobody_asked_how_is_dead(repository, instance):
    (request,) = tick(repository, instance, "eu_landing").run_requests
    with subprocess.Popen(["true"]) as ended:
        zombie = psutil.Process(ended.pid)
        eventually(lambda: zombie.status() == psutil.STATUS_ZOMBIE)
        run = begin(instance, repository, request)
        launched(instance, run, ended.pid, time.time())

        assert fail_orphans(instance, "eu") == [run.run_id]


def test_process_waits_for_a_run_no_longer_than_its_process_lives(repository, instance, work):
    (request,) = tick(repository, instance, "eu_landing").run_requests
    with subprocess.Popen(["sleep", "600"]) as other:
        began = int(psutil.Process(other.pid).create_time())
        run = begin(instance, repository, request, tags={PROCESS: f"{os.uname().nodename}:{other.pid}:{began}"})

        done = process("eu", repository, instance, lambda said: other.kill() if "waiting" in said else None)

    assert done.ok
    assert instance.get_run_by_id(run.run_id).status == DagsterRunStatus.FAILURE
    assert work.merged == set(hours(3))


def test_a_run_that_goes_on_for_longer_than_any_may_is_not_waited_for_for_ever(repository, instance, monkeypatch):
    (request,) = tick(repository, instance, "eu_landing").run_requests
    begin(instance, repository, request, tags=process_tag())
    monkeypatch.setattr("orchestration.local.process.MAX_RUNTIME_S", 0)

    with pytest.raises(StillUnderWay, match="eu/landing does not end; terminate it in Dagster"):
        process("eu", repository, instance, lambda _: None)
