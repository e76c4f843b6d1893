"""What of Dagster's processes ends by itself is started again, later and later, and nothing else is touched."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from contracts.ports import free_port
from orchestration.local import supervisor as module
from orchestration.local.probes import serves
from orchestration.local.server import Server, start, stop
from orchestration.local.supervisor import LONG_ENOUGH_S, LONGEST_PAUSE_S, Supervisor, pause_s
from tests.builders.stack import eventually, gone
from tests.orchestration.local.test_servers import MILD, SERVES

ENDS = "raise SystemExit(3)"
STARTS_A_RUN = f"""
import pathlib, subprocess, sys
run = subprocess.Popen([sys.executable, "-c", {MILD!r}])
pathlib.Path(sys.argv[1]).write_text(str(run.pid))
run.wait()
"""


class Scene:
    """Servers under a supervisor, by a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now, self.said, self.failed = folder, 0.0, list[str](), 0
        self.servers: list[Server] = []

    def add(self, name: str, code: str = MILD, port: int | None = None, word: str | None = None) -> Server:
        def arguments(at: int | None) -> list[str]:
            return ["-c", code, word or str(at)]

        self.servers.append(start(name, arguments, dict(os.environ), port, self.folder))
        return self.servers[-1]

    def supervised(self) -> Supervisor:
        return Supervisor(self.servers, {}, self.said.append, clock=lambda: self.now)

    def fail(self, *_: object, **__: object) -> None:
        self.failed += 1


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    made = Scene(tmp_path)
    monkeypatch.setattr(module, "storage_answers", lambda _: True)
    monkeypatch.setattr(module, "fail_orphaned_runs", made.fail)
    yield made
    stop(made.servers)


def kill(server: Server) -> None:
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()


def test_a_code_server_that_was_killed_answers_again_on_its_port_and_the_others_run_on(scene):
    eu, us = scene.add("eu", SERVES, free_port()), scene.add("us", SERVES, free_port())
    eventually(lambda: serves(eu.port) and serves(us.port))
    supervisor = scene.supervised()
    kill(eu)

    supervisor.look()
    assert scene.said == [
        f"eu ended by itself with -9; it is started again in 1 s (its log is {scene.folder / 'eu.log'})"
    ]
    scene.now += 1
    supervisor.look()

    eventually(lambda: serves(eu.port))
    assert scene.said[1:] == ["eu was started again"]
    assert scene.servers[0].port == eu.port
    assert scene.servers[0].process.pid != eu.process.pid
    assert scene.servers[1] is us
    assert not us.has_ended()


def test_what_keeps_dying_is_started_later_and_later(scene):
    scene.add("daemon", ENDS)
    supervisor = scene.supervised()
    pauses = []
    for _ in range(4):
        scene.servers[0].process.wait()
        supervisor.look()
        pauses.append(pause_s(len(pauses) + 1))
        scene.now += pauses[-1] - 0.1
        before = scene.servers[0]
        supervisor.look()
        assert scene.servers[0] is before, "not before its pause is over"
        scene.now += 0.1
        supervisor.look()
        assert scene.servers[0] is not before

    assert pauses == [1, 2, 4, 8]
    assert "again in 8 s" in scene.said[-2]
    assert pause_s(1000) == LONGEST_PAUSE_S


def test_after_a_long_life_earlier_deaths_do_not_count(scene):
    scene.add("daemon", ENDS)
    supervisor = scene.supervised()
    for lived in (0, 0, LONG_ENOUGH_S + 1):
        scene.servers[0].process.wait()
        scene.now += lived
        supervisor.look()
        scene.now += LONGEST_PAUSE_S
        supervisor.look()

    pauses = [line for line in scene.said if "again in" in line]
    assert ["again in 1 s" in line for line in pauses] == [True, False, True]


def with_a_run(scene):
    """A code server that has started a run, and the run's process."""
    told = scene.folder / "run.pid"
    eu = scene.add("eu", STARTS_A_RUN, word=str(told))
    eventually(lambda: told.exists() and told.read_text() != "")
    return eu, psutil.Process(int(told.read_text()))


def test_runs_of_a_code_server_that_died_go_on_and_are_failed_once_the_last_has_ended(scene):
    eu, run = with_a_run(scene)
    supervisor = scene.supervised()
    kill(eu)

    supervisor.look()
    assert not gone(run)
    assert (scene.failed, supervisor.left) == (0, [eu])
    run.kill()

    eventually(lambda: gone(run))
    supervisor.look()
    assert (scene.failed, supervisor.left) == (1, [])


def test_the_runs_of_a_code_server_that_died_end_with_the_rest(scene):
    eu, run = with_a_run(scene)
    supervisor = scene.supervised()
    kill(eu)
    supervisor.look()

    stop([*supervisor.left, *scene.servers])

    eventually(lambda: gone(run))
    assert gone(run)


def test_a_database_that_is_away_puts_the_failing_off(scene, monkeypatch):
    answers = [False, True]
    monkeypatch.setattr(module, "storage_answers", lambda _: answers.pop(0))
    eu = scene.add("eu", ENDS)
    eu.process.wait()
    supervisor = scene.supervised()
    for moment in (0.0, 5.0, 11.0):
        scene.now = moment
        supervisor.look()

    assert answers == []
    assert scene.failed == 1
