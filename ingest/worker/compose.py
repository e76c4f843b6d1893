"""Builds what a worker consists of: the one place where its stores and options are handed to those who use them."""

from collections.abc import Callable
from dataclasses import replace

from contracts.ledger import LeaseRow
from ingest.kinesis import ShardCursor, Start
from ingest.kinesis.protocol import ShardReader
from ingest.kinesis.subscriber import ShardSubscriber
from ingest.kinesis.trouble import Trouble
from ingest.landing import FlushLimits, ShardBuffer
from ingest.runtime.retry import Retry
from ingest.worker.handling.handing import Handing
from ingest.worker.landing.budget import Budget, ReadTurn
from ingest.worker.landing.delivery import Delivery, Pace
from ingest.worker.landing.quarantine import Quarantine
from ingest.worker.landing.totals import Totals
from ingest.worker.live.catch_up import CatchUp
from ingest.worker.live.rebuild import History, LiveStateRebuilder
from ingest.worker.live.writer import LiveWriter
from ingest.worker.options import Options, Parts
from ingest.worker.reading.retention import Horizon, Retention
from ingest.worker.reading.suspicion import Suspicion
from ingest.worker.shards.coordinator import Coordinator
from ingest.worker.shards.delivering import Delivering
from ingest.worker.shards.holdings import Holdings
from ingest.worker.shards.task import ShardTask


def live_writer(parts: Parts, name: str) -> LiveWriter | None:
    """The worker's writer of live state; None where it has no live state."""
    if parts.live is None:
        return None
    retry = Retry(parts.clock, parts.metrics, name)
    return LiveWriter(parts.live, clock=parts.clock, metrics=parts.metrics, retry=retry)


def live_state_rebuilder(
    parts: Parts,
    options: Options,
    name: str,
    *,
    live_gaps: Callable[[], int] = lambda: 0,
    history: History | None = None,
) -> LiveStateRebuilder | None:
    """What rebuilds live state; None where there is no live state."""
    if parts.live is None:
        return None
    return LiveStateRebuilder(
        parts.live,
        stream=parts.stream,
        leases=parts.leases,
        store=parts.store,
        offload=parts.encoding,
        clock=parts.clock,
        metrics=parts.metrics,
        worker=name,
        unseen_ms=options.live_unseen_ms,
        live_gaps=live_gaps,
        history=history,
    )


def coordinator(
    parts: Parts, options: Options, name: str, holdings: Holdings, *, is_dead: Callable[[str], bool]
) -> Coordinator:
    """The worker's coordinator."""
    return Coordinator(
        name,
        holdings,
        stream=parts.stream,
        leases=parts.leases,
        clock=parts.clock,
        metrics=parts.metrics,
        lease_ttl_s=options.lease_ttl_s,
        discover_every_s=options.discover_every_s,
        workers=options.workers,
        until_idle=options.until_idle,
        is_dead=is_dead,
    )


def shard_task(
    parts: Parts,
    options: Options,
    lease: LeaseRow,
    *,
    budget: Budget,
    live: LiveWriter | None,
    retention: Retention,
    totals: Totals,
) -> ShardTask:
    """The task of a leased shard."""
    trouble, turn = Trouble(lease.shard_id, parts.clock, parts.metrics), ReadTurn(budget)
    return ShardTask(
        _delivery(parts, options, lease, budget, totals),
        _reader(parts, options, lease, trouble, turn),
        turn=turn,
        stream=parts.stream,
        decoder=parts.decoder,
        decoding=parts.decoding,
        live=live,
        catch_up=_catch_up(parts, options, lease, live),
        horizon=Horizon(lease.shard_id, retention, lease.watermark_ms, lease.read_position, parts.clock, trouble),
        suspicion=_suspicion(parts, options, lease),
        trouble=trouble,
        budget=budget,
        totals=totals,
        clock=parts.clock,
        metrics=parts.metrics,
        open_hours=options.open_hours,
        lease_ttl_s=options.lease_ttl_s,
    )


def _suspicion(parts: Parts, options: Options, lease: LeaseRow) -> Suspicion:
    retry = Retry(parts.clock, parts.metrics, lease.shard_id)
    return Suspicion(lease, parts.leases, parts.trial, retry, lease_ttl_s=options.lease_ttl_s)


def _delivery(parts: Parts, options: Options, lease: LeaseRow, budget: Budget, totals: Totals) -> Delivering:
    """To landing, or to the handler where there is one."""
    limits = FlushLimits(options.flush_rows, options.flush_bytes, options.flush_age_s, options.open_hours)
    if parts.handling is None:
        return _landing(parts, options, lease, budget, totals, limits)
    return Handing(
        _landing(parts, options, lease, budget, totals, replace(limits, age_s=0.0)),
        parts.handling,
        metrics=parts.metrics,
        budget=budget,
        retry=Retry(parts.clock, parts.metrics, lease.shard_id),
    )


def _landing(
    parts: Parts, options: Options, lease: LeaseRow, budget: Budget, totals: Totals, limits: FlushLimits
) -> Delivery:
    return Delivery(
        lease,
        ShardBuffer(lease.shard_id, limits, decoder_version=parts.decoder.version),
        leases=parts.leases,
        store=parts.store,
        quarantine=Quarantine(parts.stream, parts.encoding, parts.clock, parts.metrics, options.packings),
        encoding=parts.encoding,
        clock=parts.clock,
        metrics=parts.metrics,
        budget=budget,
        totals=totals,
        pace=Pace(
            watermark_every_s=options.watermark_every_s,
            watermark_behind_ms=options.watermark_behind_ms,
            look_every_s=options.look_every_s,
            flush_at_tip=options.until_idle,
        ),
    )


def _catch_up(parts: Parts, options: Options, lease: LeaseRow, live: LiveWriter | None) -> CatchUp | None:
    if live is None:
        return None
    return CatchUp(
        live,
        lease,
        stream=parts.stream,
        leases=parts.leases,
        store=parts.store,
        offload=parts.encoding,
        clock=parts.clock,
        metrics=parts.metrics,
        unseen_ms=options.live_unseen_ms,
    )


def _reader(parts: Parts, options: Options, lease: LeaseRow, trouble: Trouble, turn: ReadTurn) -> ShardReader:
    """Polls the shard from the lease's position on, or has enhanced fan-out push it."""
    shard_id, start = lease.shard_id, _start(lease)
    if parts.fan_out is not None:
        return ShardSubscriber(parts.fan_out, shard_id, start, trouble=trouble, turn=turn)
    limits, clock = options.limits, parts.clock
    return ShardCursor(parts.stream, shard_id, start, clock=clock, limits=limits, trouble=trouble, turn=turn)


def _start(lease: LeaseRow) -> Start:
    if lease.read_position:
        return Start.after(lease.position)
    return Start.arrived(lease.start_ms) if lease.start_ms else Start.oldest()
