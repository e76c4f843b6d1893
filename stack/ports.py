"""Which port each service listens on: kept between runs, free when chosen, the caller's where named."""

import time
from collections.abc import Mapping

import structlog

from contracts.errors import Misuse, PortTaken
from contracts.ports import HOST, free_port, is_free

_log = structlog.get_logger(__name__)

FACES: tuple[str, ...] = ("s3", "kinesis", "redis", "postgres")
"""The ports that clients use, and that a caller may name."""
_LETS_GO_S = 2.0
_POLL_S = 0.005


def becomes_free(port: int, within_s: float = _LETS_GO_S) -> bool:
    """Whether it is free now or in a moment: a killed process counts as gone milliseconds before its sockets do."""
    deadline = time.monotonic() + within_s
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def checked_names(named: Mapping[str, int] | None) -> dict[str, int]:
    """The ports that the caller named. Raises Misuse for a service that is none, or a number that is no port."""
    for service, port in (named or {}).items():
        if service not in FACES:
            raise Misuse(f"no service {service!r} to give port {port}; services are {', '.join(FACES)}")
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
    """Ports of one service that is about to start: named by the caller, else kept from before if free, else new.

    Clients that run have the port of before: it is given up only where something else listens there.
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
