"""Several workers of one region on this machine, one process each: Python's way to more than one core."""

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import msgspec
import structlog

from contracts.errors import FleetlakeError
from contracts.settings import RegionSettings
from ingest.worker import Report

_MOST_RESTARTS = 5
_LOOK_S = 0.1
_LONG_ENOUGH_S = 60.0
_log = structlog.get_logger()


def consume_together(settings: RegionSettings, workers: int, *, until_idle: bool) -> Report:
    """Run workers that share the region's shards by leases, until all have ended; their reports as one.

    A worker that dies is started again, and others meanwhile read its shards. SIGTERM and SIGINT stop them all
    gracefully. Raises FleetlakeError where one keeps dying.
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
        objects=sum(report.objects for report in reports),
        flushes=sum(report.flushes for report in reports),
        records_per_s=round(read / seconds, 1) if seconds else 0.0,
        lost=sum(report.lost for report in reports),
        not_committed=[shard for report in reports for shard in report.not_committed],
        live_missing=any(report.live_missing for report in reports),
    )


class _Team:
    """Starts, watches and stops the processes."""

    def __init__(self, settings: RegionSettings, workers: int, *, until_idle: bool) -> None:
        self._settings = settings
        self._workers = workers
        self._until_idle = until_idle
        self._context = multiprocessing.get_context("spawn")
        self._stopping = False
        self._restarts = 0
        self._reports: list[Report] = []
        self._running: dict[int, tuple[BaseProcess, Connection, float]] = {}

    def stop(self) -> None:
        self._stopping = True
        for process, _, _ in list(self._running.values()):
            process.terminate()

    def run(self) -> list[Report]:
        for number in range(self._workers):
            self._start(number)
        while self._running:
            for number, (process, results, started_s) in list(self._running.items()):
                process.join(_LOOK_S / self._workers)
                if process.exitcode is not None:
                    del self._running[number]
                    self._ended(number, process, results, started_s)
        return self._reports

    def _start(self, number: int) -> None:
        results, sending = self._context.Pipe(duplex=False)
        port = self._settings.metrics_port + number if self._settings.metrics_port else 0
        arguments = (self._settings, self._workers, self._until_idle, port, sending)
        process = self._context.Process(target=_work, args=arguments, name=f"worker {number}")
        process.start()
        sending.close()
        self._running[number] = (process, results, time.monotonic())

    def _ended(self, number: int, process: BaseProcess, results: Connection, started_s: float) -> None:
        report = results.recv() if results.poll() else None
        results.close()
        if report is not None:
            self._reports.append(msgspec.json.decode(report, type=Report))
        if process.exitcode == 0 or self._stopping:
            return
        _log.error("worker.died", number=number, exit_code=process.exitcode)
        self._restarts = 1 if time.monotonic() - started_s > _LONG_ENOUGH_S else self._restarts + 1
        if self._restarts > _MOST_RESTARTS:
            self.stop()
            raise FleetlakeError(f"worker {number} died {_MOST_RESTARTS} times in a row; its log says why")
        self._start(number)


def _work(settings: RegionSettings, workers: int, until_idle: bool, port: int, results: Connection) -> None:
    """One worker process. It ends gracefully where its parent is gone."""
    from ingest.memory import keep_freed_memory
    from ingest.service import log_to_stderr, serve

    log_to_stderr()
    keep_freed_memory()
    _end_with_parent()
    try:
        report = asyncio.run(serve(settings, workers=workers, until_idle=until_idle, metrics_port=port))
    except FleetlakeError as error:
        _log.error("worker.failed", error=str(error))
        sys.exit(error.exit_code)
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
