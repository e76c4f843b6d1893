"""A team of workers whose processes are made up: when they are started again, and when the team ends."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts import team
from contracts.errors import FleetlakeError, Misuse
from contracts.settings import RegionSettings
from ingest.service import processes


@dataclass
class MadeUp:
    """A process that ends as soon as it is started, or once it is asked to (None)."""

    exit_code: int | None
    sentinel: int = -1
    exitcode: int | None = None
    _open: int = -1

    def start(self) -> None:
        self.sentinel, self._open = os.pipe()
        if self.exit_code is not None:
            self._end(self.exit_code)

    def terminate(self) -> None:
        if self.exitcode is None:
            self._end(-15)

    kill = terminate

    def _end(self, code: int) -> None:
        self.exitcode = code
        os.close(self._open)


@dataclass
class MadeUpContext:
    """Makes processes with the exit codes of each worker's lives."""

    lives: dict[str, list[int | None]]
    started: list[str] = field(default_factory=list)

    def Pipe(self, *, duplex: bool) -> Any:  # noqa: N802 - multiprocessing's name
        from multiprocessing import Pipe

        return Pipe(duplex=duplex)

    def Process(self, *, name: str, **_: Any) -> MadeUp:  # noqa: N802 - multiprocessing's name
        self.started.append(name)
        return MadeUp(self.lives[name].pop(0))


def _team(lives: dict[str, list[int | None]], *, until_idle: bool) -> Any:
    made: Any = processes.team_of(_settings(), len(lives), until_idle=until_idle)
    made._rules = replace(made._rules, first_wait_s=0.001)
    made._context = MadeUpContext(lives)
    return made


def _settings() -> RegionSettings:
    return RegionSettings.model_construct(region="eu", state=Path(), metrics_port=0)


def test_a_worker_that_keeps_dying_is_started_again_later_and_later_while_another_lives() -> None:
    workers = _team({"worker 0": [None], "worker 1": [-9] * 8 + [0]}, until_idle=False)
    start = workers._start

    def started(member: Any) -> None:
        start(member)
        if workers._context.started.count("worker 1") == 9:
            workers.stop()

    workers._start = started
    with capture_logs() as log:
        assert workers.run() == []
    waits = [line["starts_again_in_s"] for line in log if line["event"] == "worker.died"]
    assert waits == [0.001 * 2**times for times in range(8)]


def test_a_team_of_which_nobody_stays_alive_ends_and_says_so() -> None:
    workers = _team({"worker 0": [1] * 20, "worker 1": [-9] * 20}, until_idle=False)
    with pytest.raises(FleetlakeError, match="times in a row"):
        workers.run()
    assert min(workers._context.started.count(f"worker {number}") for number in (0, 1)) == 6


def test_until_idle_a_worker_that_keeps_dying_ends_the_team() -> None:
    workers = _team({"worker 0": [None], "worker 1": [-9] * 20}, until_idle=True)
    with pytest.raises(FleetlakeError, match="worker 1 died 6 times in a row"):
        workers.run()


def test_a_worker_that_was_told_nonsense_is_not_started_again() -> None:
    workers = _team({"worker 0": [None], "worker 1": [2]}, until_idle=False)
    with pytest.raises(Misuse, match="worker 1"):
        workers.run()
    assert workers._context.started.count("worker 1") == 1


def test_a_worker_whose_parent_is_gone_tells_nobody_and_ends(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from multiprocessing import Pipe

    reading, sending = Pipe(duplex=False)
    reading.close()
    monkeypatch.setattr(team, "_end_with_parent", lambda: None)
    monkeypatch.setattr(processes, "run_one", lambda *_, **__: processes.together([]))

    team.work_in_team("worker", processes.consume_one, (_settings(), 2, False, 0), sending)

    assert "Traceback" not in capfd.readouterr().err
