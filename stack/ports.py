"""Chooses the port of each service: the caller's, else the one of the last run if free, else a new one."""

import random
import socket
import time
from collections.abc import Mapping

import structlog

from contracts.errors import Misuse, PortTaken

_log = structlog.get_logger(__name__)

HOST = "127.0.0.1"
CLIENT_PORTS: tuple[str, ...] = ("s3", "kinesis", "redis", "postgres")
"""The ports that clients use, and that a caller may name."""
_LOW, _HIGH = 20_000, 32_700
"""Below the kernel's ephemeral range, so that no outgoing connection takes a port while its service is down."""
_RELEASE_S = 2.0
_POLL_S = 0.005


def is_free(port: int) -> bool:
    """Whether this process could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def becomes_free(port: int, within_s: float = _RELEASE_S) -> bool:
    """Whether the port is free within `within_s`: a killed process's sockets close milliseconds after it."""
    deadline = time.monotonic() + within_s
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def free_port(taken: set[int]) -> int:
    """A free port that is not in `taken`, to which it is added."""
    choose = random.SystemRandom()
    while True:
        port = choose.randint(_LOW, _HIGH)
        if port not in taken and is_free(port):
            taken.add(port)
            return port


def checked_names(named: Mapping[str, int] | None) -> dict[str, int]:
    """The ports that the caller named. Raises Misuse for an unknown service or an invalid port."""
    for service, port in (named or {}).items():
        if service not in CLIENT_PORTS:
            raise Misuse(f"no service {service!r} to give port {port}; services are {', '.join(CLIENT_PORTS)}")
        if not 1 <= port <= 65_535:  # noqa: PLR2004
            raise Misuse(f"{port} is no port for {service}; name one from 1 to 65535")
    return dict(named or {})


def require_free(named: Mapping[str, int]) -> None:
    """Raises PortTaken where a port that the caller named is in use."""
    for service, port in named.items():
        if not is_free(port):
            raise PortTaken(
                f"port {port} asked for {service} is in use on {HOST}; "
                "free it, name another, or leave it out for a free one"
            )


def choose(
    names: tuple[str, ...], kept: Mapping[str, int], named: Mapping[str, int], taken: set[int]
) -> dict[str, int]:
    """Ports of one service that is about to start: named by the caller, else the previous ones if free, else new.

    Running clients use the previous port, so it only changes where something else listens on it.
    """
    ports = {}
    for name in names:
        wanted = named.get(name)
        if wanted is not None:
            ports[name] = wanted
            taken.add(wanted)
        elif (old := kept.get(name)) is not None and old not in taken and becomes_free(old):
            ports[name] = old
            taken.add(old)
        else:
            ports[name] = free_port(taken)
            if old is not None:
                _log.warning("port.given_up", port_of=name, port=old, instead=ports[name], hint="point clients there")
    return ports
