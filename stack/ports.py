"""Chooses the port of each service: the caller's, else the one of the last run if free, else a new one."""

import time
from collections.abc import Mapping

import structlog

from contracts.errors import Misuse, PortTaken
from contracts.ports import HOST, free_port, is_free

_log = structlog.get_logger(__name__)

CLIENT_PORTS: tuple[str, ...] = ("s3", "kinesis", "redis", "postgres")
"""The ports that clients use, and that a caller may name."""
_RELEASE_S = 2.0
_POLL_S = 0.005


def becomes_free(port: int, within_s: float = _RELEASE_S) -> bool:
    """Whether the port is free within `within_s`: a killed process's sockets close milliseconds after it."""
    deadline = time.monotonic() + within_s
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


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
            taken.add(ports[name])
            if old is not None:
                _log.warning("port.given_up", port_of=name, port=old, instead=ports[name], hint="point clients there")
    return ports
