"""An application as a service in this process: tables, signals, logs, pages, one worker."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace

import structlog

from contracts.logs import log_to_stderr
from ingest.handling.application import Application
from ingest.kinesis.http import HttpStream
from ingest.kinesis.packed import compile_reader
from ingest.landing import Prefixed, S3Store
from ingest.leases.dynamodb import DynamoLeases
from ingest.leases.tables import make_tables
from ingest.runtime.aws_access import AwsClock
from ingest.runtime.metrics import Metrics
from ingest.runtime.offload import OneThread, Threads
from ingest.service.health import HealthServer
from ingest.service.one_worker import END_WITHIN_S, LastResort, close, on_signals
from ingest.worker import Parts, Report, Worker
from ingest.worker.handling.records import Handler, Handling
from ingest.worker.handling.unpacked import Unpacking
from ingest.worker.slot import Slot

_log = structlog.get_logger()


def handle_stream(
    application: Application,
    handler: Handler,
    *,
    poison: tuple[type[Exception], ...] = (),
    most_records: int = 10_000,
    until_idle: bool = False,
) -> Report:
    """Give the stream's records to the handler until SIGTERM or SIGINT, or `until_idle` until there are no more.

    Start it in several processes, on several machines, to share the shards. poison, most_records: see Handling.
    """
    log_to_stderr()
    compile_reader()
    make_tables(application.table_scope, application.aws_region, application.dynamodb)
    last = LastResort(END_WITHIN_S)
    try:
        return asyncio.run(
            _serve(application, Handling(handler, poison, most_records), last.arm, until_idle=until_idle)
        )
    finally:
        last.disarm()


def parts_of(application: Application, handling: Handling, metrics: Metrics) -> Parts:
    """The real parts of an application's worker."""
    clock, where = AwsClock(), application.aws_region
    decoding = OneThread()
    return Parts(
        stream=HttpStream(application.stream, where, application.kinesis, decoding=decoding.beginning, aws_clock=clock),
        leases=DynamoLeases(application.table_scope, where, application.dynamodb, aws_clock=clock),
        store=Prefixed(S3Store.at(application.bucket, where, application.s3, aws_clock=clock), application.prefix),
        live=None,
        decoder=Unpacking(),
        decoding=decoding.finishing,
        encoding=Threads(2),
        metrics=metrics,
        handling=handling,
    )


async def _serve(
    application: Application, handling: Handling, asked: Callable[[], None], *, until_idle: bool
) -> Report:
    slot = Slot.claim(application.state, application.table_scope)
    metrics = Metrics(application.table_scope, slot.worker)
    parts = parts_of(application, handling, metrics)
    options = replace(application.options, until_idle=until_idle)
    worker = Worker(parts, options, slot.worker, is_dead=slot.is_dead)
    on_signals(worker.stop, asked)
    health = HealthServer(worker.health, metrics, worker.show)
    try:
        pages = await health.start(application.metrics_port, application.metrics_host)
        slot.announce(pages)
        where = {"metrics": f"{pages}/metrics", "pid": os.getpid()}
        _log.info("worker.started", application=application.name, worker=slot.worker, **where)
        report = await worker.run()
        _log.info("worker.ended", worker=slot.worker, read=report.read, handled=report.handled)
        return report
    finally:
        await health.stop()
        await close(parts)
        slot.free()
