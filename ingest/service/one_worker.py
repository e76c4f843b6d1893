"""One worker as a service in this process: signals, logs, health pages and the copy of the watermarks."""

import asyncio
import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import structlog

from contracts.errors import FleetlakeError, SinkUnavailable
from contracts.ledger import LeaseRow
from contracts.names import stream
from contracts.residency import away_key
from contracts.settings import RegionSettings
from ingest.decode import AwayDevices, JsonDecoder
from ingest.kinesis.fan_out import FanOut
from ingest.kinesis.http import HttpStream
from ingest.landing import S3Store
from ingest.leases.dynamodb import DynamoLeases
from ingest.live import RedisLive
from ingest.runtime.allocator import keep_freed_memory
from ingest.runtime.aws_access import AwsClock
from ingest.runtime.metrics import Metrics
from ingest.runtime.offload import OneThread, Threads, aside
from ingest.service.away import follow, take_in
from ingest.service.followed_restriction import FollowedRestriction
from ingest.service.followed_suppression import FollowedSuppression
from ingest.service.health import HealthServer
from ingest.service.watermarks import copy_watermarks
from ingest.suppression import Either
from ingest.worker import Options, Parts, Report, Worker
from ingest.worker.reading.trial import ProcessTrial
from ingest.worker.slot import Slot

_COPY_EVERY_S = 10.0
_LAST_COPY_S = 2.0
END_WITHIN_S = 28.0
"""After a signal. A worker flushes, commits and lets go within 22 s; what still hangs then is not worth a SIGKILL."""
_PROGRESS_EVERY_S = 2.0
_COLLECT_AFTER = 20_000
"""Objects between two collections of reference cycles, of which a consumer makes few: by default 700."""
_log = structlog.get_logger()


def run_one(
    settings: RegionSettings, *, workers: int = 1, until_idle: bool = False, metrics_port: int | None = None
) -> Report:
    """One worker among `workers`, in this process; see ingest.service.consume. Asked to end, it ends whatever hangs."""
    keep_freed_memory()
    if settings.reader == "compiled":
        from ingest.compile_readers import compile_readers

        compile_readers()
    # What is loaded by now stays: the collector need not walk it again and again.
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    last = LastResort(END_WITHIN_S)
    try:
        return asyncio.run(
            serve(settings, workers=workers, until_idle=until_idle, metrics_port=metrics_port, asked=last.arm)
        )
    finally:
        last.disarm()


class LastResort:
    """Ends this process with exit code 1 where it still runs `within_s` after `arm`, whatever hangs in it.

    It loses no record: what is not in the ledger is read again, and the slot's next worker need not wait.
    """

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._timer: threading.Timer | None = None

    def arm(self) -> None:
        """Start the timer, at the first call."""
        if self._timer is None:
            self._timer = threading.Timer(self._within_s, self._end)
            self._timer.daemon = True
            self._timer.start()

    def disarm(self) -> None:
        """Stop the timer: the worker ended by itself."""
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        _log.error("worker.not_ended", after_s=self._within_s)
        os._exit(1)


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
    away = AwayDevices(away_key(settings.release_key.get_secret_value()))
    parts = parts_of(settings, metrics, away)
    options = Options.of(settings, workers=workers, until_idle=until_idle)
    worker = Worker(parts, options, slot.worker, is_dead=slot.is_dead)
    on_signals(worker.stop, asked)
    health = HealthServer(worker.health, metrics, worker.show)
    beside: list[asyncio.Task[None]] = []
    try:
        port = settings.metrics_port if metrics_port is None else metrics_port
        pages = await health.start(port, settings.metrics_host)
        slot.announce(pages)
        where = {"metrics": f"{pages}/metrics", "pid": os.getpid()}
        _log.info("worker.started", region=settings.region, worker=slot.worker, **where)
        await with_suppression(parts)
        await take_in(settings, away)
        around = (
            _copy_watermarks(settings, worker),
            _show_progress(worker),
            _check_live(parts),
            _follow_suppression(parts),
            _follow_restriction(parts),
            follow(settings, away),
        )
        beside = [asyncio.create_task(task) for task in around]
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


def parts_of(settings: RegionSettings, metrics: Metrics, away: AwayDevices | None = None) -> Parts:
    """The real parts of a region's worker. away: devices at home elsewhere, where records are read from the stream."""
    aws_region, aws_clock = settings.row.aws_region, AwsClock()
    decoding, compiled = OneThread(), settings.reader == "compiled"
    suppression, restriction = FollowedSuppression(settings), FollowedRestriction(settings)
    return Parts(
        stream=HttpStream(
            stream(settings.region),
            aws_region,
            settings.kinesis,
            decoding=decoding.beginning,
            aws_clock=aws_clock,
            compiled=compiled,
        ),
        fan_out=_fan_out(settings, aws_clock),
        leases=DynamoLeases(settings.region, aws_region, settings.dynamodb, aws_clock=aws_clock),
        store=S3Store.of(settings, aws_clock=aws_clock),
        live=RedisLive.of(settings, Either(suppression, restriction)),
        decoder=JsonDecoder(suppression, away=away, plain=compiled, packings=settings.packings),
        decoding=decoding.finishing,
        trial=ProcessTrial(compiled=compiled),
        encoding=Threads(2),
        metrics=metrics,
        suppression=suppression,
        restriction=restriction,
    )


async def with_suppression(parts: Parts) -> None:
    """Read the suppression list, and the devices whose processing is restricted, before anything else is read."""
    if isinstance(parts.suppression, FollowedSuppression):
        await parts.suppression.begin(parts.leases)
    if isinstance(parts.restriction, FollowedRestriction):
        await parts.restriction.read()


async def _follow_suppression(parts: Parts) -> None:
    if isinstance(parts.suppression, FollowedSuppression):
        await parts.suppression.follow()


async def _follow_restriction(parts: Parts) -> None:
    if isinstance(parts.restriction, FollowedRestriction) and parts.live is not None:
        await parts.restriction.follow(parts.live)


def _fan_out(settings: RegionSettings, aws_clock: AwsClock) -> FanOut | None:
    if settings.reading == "polling":
        return None
    return FanOut(
        stream(settings.region),
        settings.row.aws_region,
        settings.kinesis,
        settings.fan_out_consumer,
        aws_clock=aws_clock,
        compiled=settings.reader == "compiled",
    )


async def close(parts: Parts) -> None:
    """Close every connection of the parts."""
    await asyncio.gather(parts.stream.close(), parts.leases.close(), parts.store.close())
    if parts.fan_out is not None:
        await parts.fan_out.close()
    if parts.live is not None:
        await parts.live.close()


def on_signals(*actions: Callable[[], None]) -> None:
    """Act on SIGTERM and SIGINT. Call it on the running event loop."""
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
        await _copied(settings, list(worker.rows), worker.rows_age_s)


async def _copy_last_watermarks(settings: RegionSettings, parts: Parts) -> None:
    """Copy within two seconds or not at all: the work is done, and its report must not wait for a copy."""
    try:
        async with asyncio.timeout(_LAST_COPY_S):
            asked_s = time.monotonic()
            rows = await parts.leases.rows()
            await _copied(settings, rows, time.monotonic() - asked_s)
    except (FleetlakeError, TimeoutError) as error:
        _log.warning("watermarks.not_copied", error=type(error).__name__)


async def _copied(settings: RegionSettings, rows: Sequence[LeaseRow], age_s: float) -> None:
    dsn = settings.postgres_dsn.get_secret_value()
    try:
        await aside(partial(copy_watermarks, dsn, rows, age_s=age_s), within_s=_COPY_EVERY_S)
    except TimeoutError:
        _log.warning("watermarks.not_copied", error="TimeoutError")


async def _check_live(parts: Parts) -> None:
    """Say at the start what speaks against the Redis that is there, not only at the first record."""
    if isinstance(parts.live, RedisLive):
        with suppress(SinkUnavailable):
            await parts.live.check()


async def _show_progress(worker: Worker) -> None:
    read = 0
    while True:
        await asyncio.sleep(_PROGRESS_EVERY_S)
        if worker.totals.user_records_read != read:
            rate = (worker.totals.user_records_read - read) / _PROGRESS_EVERY_S
            read = worker.totals.user_records_read
            _log.info("progress", read=read, landed=worker.totals.landed, records_per_s=round(rate))
