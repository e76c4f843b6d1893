"""Several processes of one service on one machine: those that die are started again, and all end together."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

import msgspec
import structlog

from contracts.errors import FleetlakeError, Misuse
from contracts.logs import log_to_stderr

_LOOK_S = 0.1
_LONG_ENOUGH_S = 60.0
"""After a life this long, earlier deaths no longer count."""
_MOST_DEATHS = 5
_MOST_DOUBLINGS = 32
_Report = TypeVar("_Report")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TeamRules:
    """What differs between services."""

    service: str
    """First word of its log events, such as `gateway.died`."""
    member: str
    """What people call one of its processes."""
    end_within_s: float
    """A process that was asked to end and has not by then is killed."""
    ends_by_itself: bool = False
    """Whether a process that ends with 0 unasked is done; otherwise it died."""
    every_one_is_needed: bool = False
    """Whether the team ends where one process does not stay alive; otherwise, where none does."""
    first_wait_s: float = 0.5
    """Before a process that died is started again; each further time in a row twice as long, up to longest_wait_s."""
    longest_wait_s: float = 30.0


@dataclass(slots=True)
class _Member:
    """One process's place: how often it died in a row, when it starts again, whether it is done."""

    number: int
    starts_at_s: float = 0.0
    deaths: int = 0
    started_s: float = 0.0
    process: BaseProcess | None = None
    results: Connection | None = None
    done: bool = False


class Team(Generic[_Report]):
    """Starts, watches and stops the processes.

    Promises
    - A process that dies is started again, after pauses that grow while it keeps dying.
    - After `stop` every process was asked to end, and is killed where it does not in time.
    - A process whose parent is gone asks itself to end.
    """

    def __init__(
        self,
        rules: TeamRules,
        size: int,
        work: Callable[..., _Report],
        arguments: Callable[[int], tuple[Any, ...]],
        report: type[_Report],
    ) -> None:
        """work: a function of a module, called in each process with the arguments for its number; gives its report."""
        self._rules, self._work, self._arguments, self._report = rules, work, arguments, report
        self._context = multiprocessing.get_context("spawn")
        self._members = [_Member(number) for number in range(size)]
        self._stopped_s: float | None = None
        self._failure: FleetlakeError | None = None
        self._reports: list[_Report] = []

    def stop(self) -> None:
        """Ask all processes to end."""
        self._stopped_s = time.monotonic() if self._stopped_s is None else self._stopped_s
        for member in self._members:
            if member.process is not None:
                member.process.terminate()

    def run(self) -> list[_Report]:
        """The reports, once all have ended; SIGTERM and SIGINT stop the team.

        Raises FleetlakeError where the processes do not stay alive, Misuse where one cannot work with its settings.
        """
        with _signals_to(self.stop):
            try:
                while running := self._running():
                    self._watch(running)
            finally:
                self._kill()
        if self._failure is not None:
            raise self._failure
        return self._reports

    def _watch(self, running: list[_Member]) -> None:
        wait([member.process.sentinel for member in running if member.process], _LOOK_S)
        for member in running:
            if member.process is not None and member.process.exitcode is not None:
                self._ended(member, member.process.exitcode)
        if self._stopped_s is not None and time.monotonic() - self._stopped_s > self._rules.end_within_s:
            self._kill()

    def _running(self) -> list[_Member]:
        """The members that have work left; starts those that are due."""
        if self._stopped_s is not None:
            return [member for member in self._members if member.process is not None]
        for member in self._members:
            if member.process is None and not member.done and time.monotonic() >= member.starts_at_s:
                self._start(member)
        return [member for member in self._members if not member.done]

    def _start(self, member: _Member) -> None:
        results, sending = self._context.Pipe(duplex=False)
        arguments = (self._rules.service, self._work, self._arguments(member.number), sending)
        name = f"{self._rules.member} {member.number}"
        process = self._context.Process(target=work_in_team, args=arguments, name=name)
        process.start()
        sending.close()
        member.process, member.results, member.started_s = process, results, time.monotonic()
        if self._stopped_s is not None:  # stopped while it started
            process.terminate()

    def _ended(self, member: _Member, exit_code: int) -> None:
        report = _received(member.results, self._report)
        member.process = member.results = None
        if report is not None:
            self._reports.append(report)
        member.done = exit_code == 0 and self._rules.ends_by_itself
        if member.done or self._stopped_s is not None:
            return
        lived_s = time.monotonic() - member.started_s
        member.deaths = 1 if lived_s > _LONG_ENOUGH_S else member.deaths + 1
        wait_s = self._wait_s(member.deaths)
        member.starts_at_s = time.monotonic() + wait_s
        again = {"deaths_in_a_row": member.deaths, "starts_again_in_s": wait_s}
        _log.error(f"{self._rules.service}.died", number=member.number, exit_code=exit_code, **again)
        self._judge(member, exit_code)

    def _wait_s(self, deaths: int) -> float:
        return min(self._rules.longest_wait_s, self._rules.first_wait_s * 2.0 ** min(deaths - 1, _MOST_DOUBLINGS))

    def _judge(self, member: _Member, exit_code: int) -> None:
        """End the team where a restart does not help: too few stay alive, or the settings are wrong."""
        enough = any if self._rules.every_one_is_needed else all
        name = f"{self._rules.member} {member.number}"
        if exit_code == Misuse.exit_code:
            self._failure = Misuse(f"{name} cannot work like this; its log says why")
        elif enough(other.deaths > _MOST_DEATHS for other in self._members):
            self._failure = FleetlakeError(f"{name} died {member.deaths} times in a row; its log says why")
        if self._failure is not None:
            self.stop()

    def _kill(self) -> None:
        for member in self._members:
            if member.process is not None:
                _log.error(f"{self._rules.service}.killed", number=member.number)
                member.process.kill()


def work_in_team(service: str, work: Callable[..., object], arguments: tuple[Any, ...], results: Connection) -> None:
    """One process: it works, and sends its report. It is asked to end where its parent is gone."""
    log_to_stderr()
    _end_with_parent()
    try:
        report = work(*arguments)
    except FleetlakeError as error:
        _log.error(f"{service}.failed", error=str(error))
        sys.exit(error.exit_code)
    with contextlib.suppress(BrokenPipeError):  # The parent was killed: nobody is left to be told.
        results.send(msgspec.json.encode(report))


def _received(results: Connection | None, kind: type[_Report]) -> _Report | None:
    """The report that a process sent before it ended; None where it died first. A dead process' pipe is at its end."""
    if results is None:
        return None
    with results:
        try:
            return msgspec.json.decode(results.recv(), type=kind) if results.poll() else None
        except (EOFError, OSError):
            return None


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="parent").start()


@contextmanager
def _signals_to(stop: Callable[[], None]) -> Iterator[None]:
    """While inside, SIGTERM and SIGINT call `stop`."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: stop()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
