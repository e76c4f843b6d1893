"""The consumer as a service: one worker in this process, its signals, logs, health and copy of the watermarks."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import structlog

from contracts.errors import FleetlakeError
from contracts.ledger import LeaseRow
from contracts.names import stream
from contracts.settings import RegionSettings
from ingest.decode import JsonDecoder
from ingest.kinesis.fan_out import FanOut
from ingest.kinesis.http import HttpStream
from ingest.kinesis.response import compile_reader
from ingest.landing import S3Store
from ingest.leases.dynamodb import DynamoLeases
from ingest.live import RedisLive
from ingest.runtime.allocator import keep_freed_memory
from ingest.runtime.metrics import Metrics
from ingest.runtime.offload import OneThread, Threads, aside
from ingest.service.health import HealthServer
from ingest.service.last_resort import LastResort
from ingest.service.watermarks import copy_watermarks
from ingest.worker import Options, Parts, Report, Worker
from ingest.worker.slot import Slot

_COPY_EVERY_S = 10.0
_LAST_COPY_S = 2.0
_END_WITHIN_S = 28.0
"""After a signal. A worker flushes, commits and lets go within 22 s; what still hangs then is not worth a SIGKILL."""
_PROGRESS_EVERY_S = 2.0
_COLLECT_AFTER = 20_000
"""Objects between two collections of reference cycles, of which a consumer makes few: by default 700."""
_log = structlog.get_logger()


def consume(
    settings: RegionSettings, workers: int = 1, until_idle: bool = False, *, metrics_port: int | None = None
) -> Report:
    """Consume a region's stream until SIGTERM or SIGINT, or `until_idle` until every shard is read to its tip.

    workers: processes that share the stream by leases; with one, this process is it. metrics_port: instead of the
    settings'. Raises FleetlakeError where a shard failed in a way that waiting cannot mend.
    """
    log_to_stderr()
    if workers > 1:
        from ingest.service.processes import consume_together

        return consume_together(settings, workers, until_idle=until_idle)
    return run_one(settings, until_idle=until_idle, metrics_port=metrics_port)


def run_one(
    settings: RegionSettings, *, workers: int = 1, until_idle: bool = False, metrics_port: int | None = None
) -> Report:
    """One worker among `workers`, in this process; see `consume`. Asked to end, the process ends whatever hangs."""
    keep_freed_memory()
    compile_reader()
    # What is loaded by now stays: the collector need not walk it again and again.
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    last = LastResort(_END_WITHIN_S)
    try:
        return asyncio.run(
            serve(settings, workers=workers, until_idle=until_idle, metrics_port=metrics_port, asked=last.arm)
        )
    finally:
        last.disarm()


async def serve(
    settings: RegionSettings,
    *,
    workers: int = 1,
    until_idle: bool = False,
    metrics_port: int | None = None,
    asked: Callable[[], None] = lambda: None,
) -> Report:
    """One worker among `workers`, with everything around it, on the running event loop.

    asked: is called once a signal asks the worker to end.
    """
    slot = Slot.claim(settings.state, settings.region)
    metrics = Metrics(settings.region, slot.worker)
    parts = parts_of(settings, metrics)
    options = Options.of(settings, workers=workers, until_idle=until_idle)
    worker = Worker(parts, options, slot.worker, is_dead=slot.is_dead)
    _on_signals(worker.stop, asked)
    health = HealthServer(worker.health, metrics, worker.show)
    beside: list[asyncio.Task[None]] = []
    try:
        port = settings.metrics_port if metrics_port is None else metrics_port
        pages = await health.start(port, settings.metrics_host)
        slot.announce(pages)
        where = {"metrics": f"{pages}/metrics", "pid": os.getpid()}
        _log.info("worker.started", region=settings.region, worker=slot.worker, **where)
        beside = [asyncio.create_task(_copy_watermarks(settings, worker)), asyncio.create_task(_show_progress(worker))]
        report = await worker.run()
        await _copy_last_watermarks(settings, parts)
        _log.info("worker.ended", worker=slot.worker, read=report.read, landed=report.landed)
        return report
    finally:
        for task in beside:
            task.cancel()
        await health.stop()
        await close(parts)
        slot.free()


def parts_of(settings: RegionSettings, metrics: Metrics) -> Parts:
    """The real parts of a region's worker."""
    aws_region = settings.row.aws_region
    decoding = OneThread()
    return Parts(
        stream=HttpStream(stream(settings.region), aws_region, settings.kinesis, decoding=decoding.beginning),
        fan_out=_fan_out(settings),
        leases=DynamoLeases(settings.region, aws_region, settings.dynamodb),
        store=S3Store.of(settings),
        live=RedisLive.of(settings),
        decoder=JsonDecoder(),
        decoding=decoding.finishing,
        encoding=Threads(2),
        metrics=metrics,
    )


def _fan_out(settings: RegionSettings) -> FanOut | None:
    if settings.reading == "polling":
        return None
    aws_region = settings.row.aws_region
    return FanOut(stream(settings.region), aws_region, settings.kinesis, settings.fan_out_consumer)


async def close(parts: Parts) -> None:
    """Close every connection of the parts."""
    await asyncio.gather(parts.stream.close(), parts.leases.close(), parts.store.close())
    if parts.fan_out is not None:
        await parts.fan_out.close()
    if parts.live is not None:
        await parts.live.close()


def log_to_stderr() -> None:
    """One JSON object a line, on stderr."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        # One write a line: the workers of a team share this stderr.
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )


def _on_signals(*actions: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()

    def act() -> None:
        for action in actions:
            action()

    for number in (signal.SIGTERM, signal.SIGINT):
        # Signals belong to the main thread; a library user that runs a worker in another stops it by itself.
        with suppress(ValueError, RuntimeError, NotImplementedError):
            loop.add_signal_handler(number, act)


async def _copy_watermarks(settings: RegionSettings, worker: Worker) -> None:
    while True:
        await asyncio.sleep(_COPY_EVERY_S)
        await _copied(settings, list(worker.rows))


async def _copy_last_watermarks(settings: RegionSettings, parts: Parts) -> None:
    """As far as that is possible in a moment: the work is done, and its report must not hang on a copy."""
    try:
        async with asyncio.timeout(_LAST_COPY_S):
            await _copied(settings, await parts.leases.rows())
    except (FleetlakeError, TimeoutError) as error:
        _log.warning("watermarks.not_copied", error=type(error).__name__)


async def _copied(settings: RegionSettings, rows: Sequence[LeaseRow]) -> None:
    dsn = settings.postgres_dsn.get_secret_value()
    try:
        await aside(partial(copy_watermarks, dsn, rows), within_s=_COPY_EVERY_S)
    except TimeoutError:
        _log.warning("watermarks.not_copied", error="TimeoutError")


async def _show_progress(worker: Worker) -> None:
    read = 0
    while True:
        await asyncio.sleep(_PROGRESS_EVERY_S)
        if worker.totals.user_records_read != read:
            rate = (worker.totals.user_records_read - read) / _PROGRESS_EVERY_S
            read = worker.totals.user_records_read
            _log.info("progress", read=read, landed=worker.totals.landed, records_per_s=round(rate))
