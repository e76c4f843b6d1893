"""Who listens on a port of this machine."""

import socket
from contextlib import closing
from http import HTTPStatus
from urllib.error import URLError
from urllib.request import urlopen

HOST = "127.0.0.1"


def answers(port: int) -> bool:
    """Whether a code server answers on this port."""
    from dagster._core.errors import DagsterUserCodeUnreachableError
    from dagster._grpc.client import DagsterGrpcClient

    try:
        return bool(DagsterGrpcClient(port=port, host=HOST).ping("up")["echo"] == "up")
    except DagsterUserCodeUnreachableError:
        return False


def serves(port: int) -> bool:
    """Whether the webserver answers on this port."""
    try:
        with urlopen(f"http://{HOST}:{port}/server_info", timeout=2) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except (URLError, OSError):
        return False


def free_port() -> int:
    """A port that nothing listens on."""
    with closing(socket.socket()) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether nothing listens on this port."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
