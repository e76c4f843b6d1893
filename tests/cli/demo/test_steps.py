"""The demo's commands: each with its log, a failure that says which, and no process left behind."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from cli.demo.show import _holds
from cli.demo.steps import StepFailed, Steps
from cli.demo.usage import UsageMonitor


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    environment = {**os.environ, "FLEETLAKE_STATE": str(tmp_path / "state")}
    return Steps(tmp_path / "logs", environment, lambda _: None)


def test_a_failed_command_is_named_with_its_log_and_reason(steps: Steps, tmp_path: Path) -> None:
    with pytest.raises(StepFailed) as failed:
        steps.run("bench", "eu", ["bench", "nothing"])
    said = str(failed.value)
    assert "`fleetlake bench nothing` ended with code 2" in said
    assert "no benchmark 'nothing'" in said
    assert str(tmp_path / "logs" / "bench-eu.log") in said
    assert steps.done == []


def test_a_result_of_1_with_a_document_is_a_result_only_where_it_may_be(steps: Steps) -> None:
    with pytest.raises(StepFailed, match="ended with code 1"):
        steps.run("reconcile", "eu", ["reconcile", "--region", "eu", "--json"], may_fail=True)


def test_an_ended_demo_starts_nothing_and_leaves_nothing(steps: Steps) -> None:
    running = threading.Thread(target=_swallow, args=(steps, ["ui"]))
    running.start()
    steps.end()
    running.join(timeout=60)
    assert not running.is_alive()
    with pytest.raises(StepFailed, match="the demo has ended"):
        steps.run("up", "", ["up"])


def test_a_command_runs_beside_others_and_is_ended(steps: Steps, tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="did not begin"), steps.beside("bench", "eu", ["bench", "nothing"], "on", {}):
        raise AssertionError("it never began")
    assert steps.done == []


def _swallow(steps: Steps, words: list[str]) -> None:
    try:
        steps.run("ui", "", words)
    except StepFailed:
        return


def test_memory_and_processor_time_of_children_count(tmp_path: Path) -> None:
    hold = "x = bytearray(200 * 2**20); x[:] = b'1' * len(x); print('held', flush=True); input()"
    with (
        UsageMonitor(tmp_path, every_s=0.05) as usage,
        subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child,
    ):
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        deadline = time.monotonic() + 30
        while usage.peak_bytes < psutil.Process(child.pid).memory_info().rss and time.monotonic() < deadline:
            threading.Event().wait(0.05)
        child.communicate(b"\n")
    assert usage.peak_bytes > 200 * 2**20
    assert usage.processor_s > 0


def test_a_sum_that_does_not_hold_is_seen() -> None:
    stages = {"stream": 5, "landed": 3, "rejected": 1, "suppressed": 1}
    assert _holds("stream = landed + rejected + suppressed", stages)
    assert not _holds("stream = landed + rejected + suppressed", {**stages, "landed": 4})
    assert _holds("acknowledged <= stream", {**stages, "acknowledged": 5})
    assert not _holds("acknowledged <= stream", {**stages, "acknowledged": 6})
    assert _holds("acknowledged <= stream", {**stages, "acknowledged": 6, "forgotten": 1})
