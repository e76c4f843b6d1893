"""The gateway's processes: several share each port, those that die are started again, and all end together."""

import contextlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from contracts.errors import Misuse, PortTaken
from contracts.logs import log_to_stderr
from contracts.ports import HOST
from contracts.settings import RegionSettings
from contracts.team import Team, TeamRules
from gateway.connections.listener import listening_socket
from gateway.service.process import Ports, ProcessReport, run_process
from gateway.shapes.shapes import load_shapes

RULES = TeamRules("gateway", "process", end_within_s=28.0)
"""A process that was asked to end and has not by then is killed: what it has not acknowledged is sent again."""


@dataclass(frozen=True, slots=True)
class PortNumbers:
    """The ports that the processes share."""

    mqtt: int
    http: int
    plain: int | None = None


def serve_gateway(settings: RegionSettings, processes: int) -> ProcessReport:
    """Serve devices until SIGTERM or SIGINT; the processes' reports as one.

    Raises PortTaken where anyone listens on a port already, Misuse where a process cannot work with its settings, and
    FleetlakeError where no process stays alive.
    """
    log_to_stderr()
    load_shapes(settings.gateway.shapes)  # Each process reads them; what is wrong with them is said once, here.
    with _reserved(settings) as ports:
        if processes == 1:
            return serve_one(settings, ports, settings.metrics_port)
        return _together(Team(RULES, processes, serve_one, partial(_arguments, settings, ports), ProcessReport).run())


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


def serve_one(settings: RegionSettings, ports: PortNumbers, metrics_port: int) -> ProcessReport:
    """One process's life."""
    return run_process(settings, _open(settings, ports), metrics_port)


def _arguments(settings: RegionSettings, ports: PortNumbers, number: int) -> tuple[RegionSettings, PortNumbers, int]:
    return settings, ports, settings.metrics_port + number if settings.metrics_port else 0


def _together(reports: list[ProcessReport]) -> ProcessReport:
    return ProcessReport(
        acknowledged=sum(report.acknowledged for report in reports),
        messages=sum(report.messages for report in reports),
        refused_by_stream=sum(report.refused_by_stream for report in reports),
    )
