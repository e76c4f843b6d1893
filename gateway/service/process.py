"""One process of the gateway: its parts put together, its ports, its chores, and its orderly end."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import structlog
import uvloop

from contracts.errors import BadSettings, StoreUnavailable
from contracts.names import GATEWAY_TAG
from contracts.settings import RegionSettings
from gateway.connections.gate import Gate
from gateway.connections.listener import Admission, Listener
from gateway.connections.mqtt import MqttConnection
from gateway.connections.refusal_log import RefusalLog
from gateway.connections.sessions import Sessions
from gateway.connections.tls import Tls
from gateway.http.telemetry import Telemetry
from gateway.identity.authenticate import Authenticator
from gateway.identity.directory import Directory
from gateway.identity.registry import PostgresRegistry
from gateway.identity.shared import SharedMemory
from gateway.identity.suppressed import SuppressionList
from gateway.intake.intake import Intake
from gateway.limits.limits import Limits
from gateway.metrics import Metrics
from gateway.mqtt.reasons import Reason
from gateway.mqtt.session import SessionLimits
from gateway.service.hub import Hub, Notice
from gateway.service.overview import announce
from gateway.service.pages import Health, Pages
from gateway.shapes.shapes import load_shapes
from producer import ReceiptProducer, ReceiptRules

ACKNOWLEDGED_EVERY_S = 5.0
REFUSALS_EVERY_S = 2.0
DRAIN_WITHIN_S = 20.0
"""What is under way is acknowledged by then, at the end of a process."""
COLLECT_AFTER = 20_000
"""Objects between two collections of reference cycles, of which a connection leaves few: by default 700."""
_MIB, _KIB = 1024 * 1024, 1024
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Ports:
    """Listening sockets, one a protocol."""

    mqtt: socket.socket
    http: socket.socket
    plain: socket.socket | None = None


class ProcessReport(msgspec.Struct, kw_only=True):
    """What a process did, at its end."""

    acknowledged: int
    messages: int
    refused_by_stream: int


class GatewayProcess:
    """Everything that one process runs."""

    def __init__(self, settings: RegionSettings, process: str) -> None:
        """Raises BadSettings where certificate or key are missing, StoreUnavailable where there is no stream."""
        own = settings.gateway
        if own.certificate is None or own.key is None or own.credential_key is None:
            raise BadSettings(
                "the gateway needs FLEETLAKE_GATEWAY_CERTIFICATE, _KEY and _CREDENTIAL_KEY (see docs/settings.md)"
            )
        self._settings, self._own, self.process = settings, own, process
        self._tls = Tls(own.certificate, own.key)
        self._began_at, self._draining = datetime.now(UTC), False
        self.metrics = Metrics(settings.region, process)
        rules = ReceiptRules(linger_s=own.linger_ms / 1000, give_up_s=own.put_time_s)
        self._producer = ReceiptProducer.open(settings, GATEWAY_TAG, rules)
        self._registry = PostgresRegistry(settings.postgres_dsn.get_secret_value())
        secret, stale_s = own.credential_key.get_secret_value(), own.identity_stale_h * 3600
        redis_url = settings.redis_url.get_secret_value()
        self._shared = SharedMemory(redis_url, settings.region, secret, stale_s=stale_s)
        self._directory = Directory(
            self._registry, age_s=own.identity_age_s, stale_s=stale_s, clock=time.monotonic, shared=self._shared
        )
        limits, refusals = Limits(own, time.monotonic), RefusalLog(self.metrics, time.monotonic)
        suppressed = SuppressionList(settings)
        authenticator = Authenticator(self._registry, self._directory, secret, settings.region, suppressed)
        intake = Intake(self._producer, own.unacknowledged_mib * _MIB, self.metrics, refusals.of_stream)
        self._gate = Gate(authenticator, limits, intake, self.metrics, refusals, load_shapes(own.shapes))
        self._sessions = Sessions(authenticator)
        self._hub = Hub(redis_url, settings.region, process, self._hear)
        self._sessions.announce = self._hub.announce
        self._checks: set[asyncio.Task[None]] = set()
        self.metrics.held_limit.set(own.unacknowledged_mib * _MIB)

    async def serve(self, ports: Ports, metrics_port: int, stopped: asyncio.Event) -> ProcessReport:
        """Serve until `stopped` is set, then drain."""
        await self._registry.open()
        with contextlib.suppress(StoreUnavailable):
            await self._read_cas()
        self._admission = Admission(self._gate.limits, self.metrics, self._gate.refusals)
        self._gate.closed = self._closed
        pages = Pages(self.health, self.metrics)
        url = await pages.start(self._settings.metrics_host, metrics_port)
        announcement = announce(Path(self._settings.state), self._settings.region, url)
        listeners = self._listeners(ports)
        chores = [asyncio.create_task(chore) for chore in self._chores()]
        accepting = [asyncio.create_task(listener.run()) for listener in listeners]
        where = {"mqtt": listeners[0].port, "http": listeners[1].port}
        plain = {"plain": listeners[2].port} if ports.plain is not None else {}
        _log.info("gateway.started", process=self.process, pid=os.getpid(), metrics=f"{url}/metrics", **where, **plain)
        try:
            await stopped.wait()
            await self._drain(accepting)
        finally:
            for task in (*accepting, *chores):
                task.cancel()
            await asyncio.gather(*accepting, *chores, return_exceptions=True)
            await self._last_words()
            announcement.unlink(missing_ok=True)
            await pages.stop()
            await self._registry.close()
            await self._shared.close()
            self._producer.close()
        return ProcessReport(
            acknowledged=self._gate.intake.acknowledged,
            messages=self._producer.counts.messages,
            refused_by_stream=self._producer.counts.refused,
        )

    def health(self) -> Health:
        """The process's state; the gauges that show it are set."""
        now = asyncio.get_running_loop().time()
        down_since = self._producer.down_since
        down_s = 0.0 if down_since is None else now - down_since
        self.metrics.held.set(self._producer.held_bytes)
        self.metrics.sessions.set(len(self._sessions))
        self.metrics.stream_down.set(down_s)
        self.metrics.registry_away.set(self._directory.away)
        return Health(
            process=self.process,
            alive=True,
            ready=not self._draining and down_s < self._own.put_time_s,
            draining=self._draining,
            connections=self._admission.open,
            sessions=len(self._sessions),
            acknowledged=self._gate.intake.acknowledged,
            held_bytes=self._producer.held_bytes,
            stream_down_s=round(down_s, 1),
            registry_away=self._directory.away,
            hub_up=self._hub.is_up,
        )

    def _listeners(self, ports: Ports) -> list[Listener]:
        limits = SessionLimits(
            packet_bytes=self._own.packet_kib * _KIB,
            receive_maximum=self._own.receive_maximum,
            longest_keep_alive_s=self._own.keep_alive_s,
        )
        make = partial(MqttConnection, self._gate, self._sessions, limits)
        made = [
            Listener(ports.mqtt, make, self._admission, self._tls),
            Listener(
                ports.http, Telemetry(self._gate, partial(make, carried=True)).server(), self._admission, self._tls
            ),
        ]
        return [*made, Listener(ports.plain, make, self._admission, None)] if ports.plain is not None else made

    def _chores(self) -> "list[Coroutine[Any, Any, None]]":
        return [
            self._hub.run(),
            _each(ACKNOWLEDGED_EVERY_S, self._note_acknowledged),
            _each(REFUSALS_EVERY_S, self._note_refusals),
            _each(self._own.identity_age_s, self._check_all),
        ]

    def _hear(self, notice: Notice) -> None:
        """Another process, or `fleetlake device`, said something."""
        if notice.taken:
            self._sessions.taken_elsewhere(notice.taken, notice.began_ns)
        if notice.access:
            self._directory.forget(notice.access)
            self._check_soon(self._sessions.check(notice.access))
        if notice.cas:
            self._check_soon(self._check_all())

    def _check_soon(self, check: "Coroutine[Any, Any, int]") -> None:
        task = asyncio.get_running_loop().create_task(_unless_away(check))
        self._checks.add(task)
        task.add_done_callback(self._checks.discard)

    async def _check_all(self) -> int:
        """Read the fleet CAs, and ask the registry about every session."""
        await self._read_cas()
        return await self._sessions.check(self._sessions.devices())

    async def _read_cas(self) -> None:
        if await self._directory.read_cas():
            self._tls.trust(self._directory.cas)

    async def _note_acknowledged(self) -> None:
        if acknowledged := self._gate.intake.acknowledged:
            await self._registry.note_acknowledged(self.process, acknowledged, self._began_at)

    async def _note_refusals(self) -> None:
        await self._registry.note_refusals(self._gate.refusals.take())

    async def _drain(self, accepting: "list[asyncio.Task[None]]") -> None:
        """Stop accepting, acknowledge what is under way, and send the devices elsewhere."""
        self._draining = True
        for task in accepting:
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_WITHIN_S):
                await self._gate.intake.close()
        self._sessions.end_all(Reason.SERVER_SHUTTING_DOWN, "the process ends; connect again")
        await asyncio.sleep(0.1)

    async def _last_words(self) -> None:
        """The counts, within two seconds or not at all: a count that is too small is still true."""
        with contextlib.suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(2):
                await self._note_acknowledged()
                await self._note_refusals()
        _log.info("gateway.ended", process=self.process, acknowledged=self._gate.intake.acknowledged)

    def _closed(self) -> None:
        self._admission.open -= 1


def run_process(settings: RegionSettings, ports: Ports, metrics_port: int) -> ProcessReport:
    """Serve in this process until SIGTERM or SIGINT."""
    # What is loaded by now stays: the collector need not walk it again and again.
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    process = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
    return uvloop.run(_serve(settings, process, ports, metrics_port))


async def _serve(settings: RegionSettings, process: str, ports: Ports, metrics_port: int) -> ProcessReport:
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    return await GatewayProcess(settings, process).serve(ports, metrics_port, stopped)


async def _unless_away(check: "Coroutine[Any, Any, int]") -> None:
    """Check now; where the registry is away, the next age does."""
    with contextlib.suppress(StoreUnavailable):
        await check


async def _each(every_s: float, work: Callable[[], Awaitable[object]]) -> None:
    """Do the work again and again; a store that is away is asked again at the next turn."""
    while True:
        await asyncio.sleep(every_s)
        with contextlib.suppress(StoreUnavailable):
            await work()
