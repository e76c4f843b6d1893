"""Several workers of one region on this machine, one process each, to use more than one core."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import msgspec
import structlog

from contracts.errors import FleetlakeError, Misuse
from contracts.logs import log_to_stderr
from contracts.settings import RegionSettings
from ingest.runtime.retry import Backoff
from ingest.service.one_worker import run_one
from ingest.worker import Report

_LOOK_S = 0.1
_RESTARTS = Backoff(0.5, 30.0)
"""Waits before a worker that died is started again."""
_LONG_ENOUGH_S = 60.0
"""After a life this long, a worker's earlier deaths no longer count."""
_MOST_DEATHS = 5
_END_WITHIN_S = 30.0
"""A worker that was asked to end and has not by then is killed: what it has not committed is read again."""
_log = structlog.get_logger()


def consume_together(settings: RegionSettings, workers: int, *, until_idle: bool) -> Report:
    """Run workers that share the region's shards by leases, until all have ended; their reports as one.

    A worker that dies is started again, after pauses that grow while it keeps dying; the others read its shards
    meanwhile. SIGTERM and SIGINT stop all workers gracefully. Raises FleetlakeError where no worker stays alive
    (`until_idle`: where one does not), Misuse where a worker exits because its settings are wrong.
    """
    team = _Team(settings, workers, until_idle=until_idle)
    with _signals_to(team.stop):
        reports = team.run()
    return together(reports)


def together(reports: list[Report]) -> Report:
    """Several workers' reports as one: sums, and the longest time."""
    rejected: Counter[str] = Counter()
    for report in reports:
        rejected.update(report.rejected)
    seconds = max((report.seconds for report in reports), default=0.0)
    read = sum(report.read for report in reports)
    return Report(
        worker=", ".join(report.worker for report in reports),
        seconds=seconds,
        read=read,
        kinesis_records=sum(report.kinesis_records for report in reports),
        landed=sum(report.landed for report in reports),
        rejected=dict(rejected),
        suppressed=sum(report.suppressed for report in reports),
        handled=sum(report.handled for report in reports),
        objects=sum(report.objects for report in reports),
        flushes=sum(report.flushes for report in reports),
        records_per_s=round(read / seconds, 1) if seconds else 0.0,
        trimmed=sum(report.trimmed for report in reports),
        not_committed=[shard for report in reports for shard in report.not_committed],
        live_missing=any(report.live_missing for report in reports),
    )


@dataclass(slots=True)
class _Member:
    """One worker's place in the team: its process while one runs, how often it died in a row, when it starts again."""

    number: int
    starts_at_s: float = 0.0
    deaths: int = 0
    started_s: float = 0.0
    process: BaseProcess | None = None
    results: Connection | None = None
    done: bool = False


class _Team:
    """Starts, watches and stops the processes."""

    def __init__(self, settings: RegionSettings, workers: int, *, until_idle: bool) -> None:
        self._settings = settings
        self._until_idle = until_idle
        self._context = multiprocessing.get_context("spawn")
        self._members = [_Member(number) for number in range(workers)]
        self._stopped_s: float | None = None
        self._failure: FleetlakeError | None = None
        self._reports: list[Report] = []

    def stop(self) -> None:
        self._stopped_s = time.monotonic() if self._stopped_s is None else self._stopped_s
        for member in self._members:
            if member.process is not None:
                member.process.terminate()

    def run(self) -> list[Report]:
        """The workers' reports, once all have ended. Raises where they cannot be kept alive."""
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
        if self._stopped_s is not None and time.monotonic() - self._stopped_s > _END_WITHIN_S:
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
        port = self._settings.metrics_port + member.number if self._settings.metrics_port else 0
        arguments = (self._settings, len(self._members), self._until_idle, port, sending)
        process = self._context.Process(target=_work, args=arguments, name=f"worker {member.number}")
        process.start()
        sending.close()
        member.process, member.results, member.started_s = process, results, time.monotonic()
        if self._stopped_s is not None:  # stopped while it started
            process.terminate()

    def _ended(self, member: _Member, exit_code: int) -> None:
        report = _received(member.results)
        member.process = member.results = None
        if report is not None:
            self._reports.append(report)
        member.done = exit_code == 0
        if member.done or self._stopped_s is not None:
            return
        lived_s = time.monotonic() - member.started_s
        member.deaths = 1 if lived_s > _LONG_ENOUGH_S else member.deaths + 1
        wait_s = _RESTARTS.after_s(member.deaths)
        member.starts_at_s = time.monotonic() + wait_s
        again = {"deaths_in_a_row": member.deaths, "starts_again_in_s": wait_s}
        _log.error("worker.died", number=member.number, exit_code=exit_code, **again)
        self._judge(member, exit_code)

    def _judge(self, member: _Member, exit_code: int) -> None:
        """End the team where a restart does not help: no worker stays alive, or its settings are wrong."""
        enough = any if self._until_idle else all
        if exit_code == Misuse.exit_code:
            self._failure = Misuse(f"worker {member.number} cannot work like this; its log says why")
        elif enough(other.deaths > _MOST_DEATHS for other in self._members):
            self._failure = FleetlakeError(
                f"worker {member.number} died {member.deaths} times in a row; its log says why"
            )
        if self._failure is not None:
            self.stop()

    def _kill(self) -> None:
        for member in self._members:
            if member.process is not None:
                _log.error("worker.killed", number=member.number)
                member.process.kill()


def _received(results: Connection | None) -> Report | None:
    """The report that a worker sent before it ended; None where it died first. A dead worker's pipe is at its end."""
    if results is None:
        return None
    with results:
        try:
            return msgspec.json.decode(results.recv(), type=Report) if results.poll() else None
        except (EOFError, OSError):
            return None


def _work(settings: RegionSettings, workers: int, until_idle: bool, port: int, results: Connection) -> None:
    """One worker process. It ends gracefully where its parent is gone."""
    log_to_stderr()
    _end_with_parent()
    try:
        report = run_one(settings, workers=workers, until_idle=until_idle, metrics_port=port)
    except FleetlakeError as error:
        _log.error("worker.failed", error=str(error))
        sys.exit(error.exit_code)
    with contextlib.suppress(BrokenPipeError):  # The parent was killed: nobody is left to be told.
        results.send(msgspec.json.encode(report))


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
