"""The gateway's processes: several share each port, those that die are started again, and all end together."""

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import msgspec
import structlog

from contracts.errors import FleetlakeError, Misuse, PortTaken
from contracts.logs import log_to_stderr
from contracts.ports import HOST
from contracts.settings import RegionSettings
from gateway.connections.listener import listening_socket
from gateway.service.process import Ports, ProcessReport, run_process
from gateway.shapes.shapes import load_shapes

_LOOK_S = 0.1
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
"""Before a process that died is started again."""
_LONG_ENOUGH_S = 60.0
"""After a life this long, earlier deaths no longer count."""
_MOST_DEATHS = 5
_END_WITHIN_S = 28.0
"""A process that was asked to end and has not by then is killed: what it has not acknowledged is sent again."""
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PortNumbers:
    """The ports that the processes share."""

    mqtt: int
    http: int
    plain: int | None = None


@dataclass(slots=True)
class _Member:
    """One process's place: how often it died in a row, when it starts again."""

    number: int
    starts_at_s: float = 0.0
    deaths: int = 0
    started_s: float = 0.0
    process: BaseProcess | None = None
    results: Connection | None = None


def serve_gateway(settings: RegionSettings, processes: int) -> ProcessReport:
    """Serve devices until SIGTERM or SIGINT; the processes' reports as one.

    Raises PortTaken where anyone listens on a port already, Misuse where a process cannot work with its settings, and
    FleetlakeError where no process stays alive.
    """
    log_to_stderr()
    load_shapes(settings.gateway.shapes)  # Each process reads them; what is wrong with them is said once, here.
    with _reserved(settings) as ports:
        if processes == 1:
            return run_process(settings, _open(settings, ports), settings.metrics_port)
        team = _Team(settings, ports, processes)
        with _signals_to(team.stop):
            return team.run()


class _Team:
    """Starts, watches and stops the processes."""

    def __init__(self, settings: RegionSettings, ports: PortNumbers, processes: int) -> None:
        self._settings, self._ports = settings, ports
        self._context = multiprocessing.get_context("spawn")
        self._members = [_Member(number) for number in range(processes)]
        self._stopped_s: float | None = None
        self._failure: FleetlakeError | None = None
        self._reports: list[ProcessReport] = []

    def stop(self) -> None:
        self._stopped_s = time.monotonic() if self._stopped_s is None else self._stopped_s
        for member in self._members:
            if member.process is not None:
                member.process.terminate()

    def run(self) -> ProcessReport:
        try:
            while self._stopped_s is None or any(member.process for member in self._members):
                self._look()
        finally:
            self._kill()
        if self._failure is not None:
            raise self._failure
        return ProcessReport(
            acknowledged=sum(report.acknowledged for report in self._reports),
            messages=sum(report.messages for report in self._reports),
            refused_by_stream=sum(report.refused_by_stream for report in self._reports),
        )

    def _look(self) -> None:
        now = time.monotonic()
        for member in self._members:
            if member.process is None and self._stopped_s is None and now >= member.starts_at_s:
                self._start(member)
        wait([member.process.sentinel for member in self._members if member.process], _LOOK_S)
        for member in self._members:
            if member.process is not None and member.process.exitcode is not None:
                self._ended(member, member.process.exitcode)
        if self._stopped_s is not None and time.monotonic() - self._stopped_s > _END_WITHIN_S:
            self._kill()

    def _start(self, member: _Member) -> None:
        results, sending = self._context.Pipe(duplex=False)
        port = self._settings.metrics_port + member.number if self._settings.metrics_port else 0
        arguments = (self._settings, self._ports, port, sending)
        process = self._context.Process(target=_work, args=arguments, name=f"gateway {member.number}")
        process.start()
        sending.close()
        member.process, member.results, member.started_s = process, results, time.monotonic()
        if self._stopped_s is not None:  # stopped while it started
            process.terminate()

    def _ended(self, member: _Member, exit_code: int) -> None:
        report = _received(member.results)
        self._reports += [report] if report is not None else []
        member.process = member.results = None
        if self._stopped_s is not None:
            return
        lived_s = time.monotonic() - member.started_s
        member.deaths = 1 if lived_s > _LONG_ENOUGH_S else member.deaths + 1
        wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** (member.deaths - 1))
        member.starts_at_s = time.monotonic() + wait_s
        _log.error("gateway.died", number=member.number, exit_code=exit_code, starts_again_in_s=wait_s)
        if exit_code == Misuse.exit_code:
            self._failure = Misuse(f"process {member.number} cannot work like this; its log says why")
        elif all(other.deaths > _MOST_DEATHS for other in self._members):
            self._failure = FleetlakeError(f"process {member.number} died {member.deaths} times in a row; see its log")
        if self._failure is not None:
            self.stop()

    def _kill(self) -> None:
        for member in self._members:
            if member.process is not None:
                _log.error("gateway.killed", number=member.number)
                member.process.kill()


@contextmanager
def _reserved(settings: RegionSettings) -> Iterator[PortNumbers]:
    """The ports, bound and not listened on while inside, so that they are the processes' alone.

    A gateway that still listens, an orphan's too, would take a share of the connections in silence: it is refused.
    """
    own = settings.gateway
    with contextlib.ExitStack() as held:

        def reserve(host: str, port: int, name: str) -> int:
            probe, kept = _bound(host, port, name)
            with probe:
                return int(held.enter_context(kept).getsockname()[1])

        mqtt = reserve(own.host, own.mqtt_port, "FLEETLAKE_GATEWAY_MQTT_PORT")
        http = reserve(own.host, own.http_port, "FLEETLAKE_GATEWAY_HTTP_PORT")
        plain = own.plain_port
        yield PortNumbers(mqtt, http, None if plain is None else reserve(HOST, plain, "FLEETLAKE_GATEWAY_PLAIN_PORT"))


def _bound(host: str, port: int, name: str) -> tuple[socket.socket, socket.socket]:
    """A socket that found nobody on the port (closed), and one that keeps it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    probe, kept = socket.socket(family, socket.SOCK_STREAM), socket.socket(family, socket.SOCK_STREAM)
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        probe.bind((host, port))
        number = probe.getsockname()[1]
        probe.close()
        kept.bind((host, number))
    except socket.gaierror:
        raise Misuse(f"FLEETLAKE_GATEWAY_HOST: {host!r} is not an address of this machine") from None
    except OSError as error:
        raise PortTaken(f"port {port} cannot be had ({error.strerror}); set {name} to another, or 0") from None
    return probe, kept


def _open(settings: RegionSettings, ports: PortNumbers) -> Ports:
    """This process's listening sockets."""
    host = settings.gateway.host
    plain = None if ports.plain is None else listening_socket(HOST, ports.plain)
    return Ports(listening_socket(host, ports.mqtt), listening_socket(host, ports.http), plain)


def _received(results: Connection | None) -> ProcessReport | None:
    """The report that a process sent before it ended; None where it died first."""
    if results is None:
        return None
    with results:
        try:
            return msgspec.json.decode(results.recv(), type=ProcessReport) if results.poll() else None
        except (EOFError, OSError):
            return None


def _work(settings: RegionSettings, ports: PortNumbers, metrics_port: int, results: Connection) -> None:
    """One process. It ends where its parent is gone."""
    log_to_stderr()
    _end_with_parent()
    try:
        report = run_process(settings, _open(settings, ports), metrics_port)
    except FleetlakeError as error:
        _log.error("gateway.failed", error=str(error))
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
