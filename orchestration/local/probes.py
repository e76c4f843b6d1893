"""Readiness probes: whether a code server or the webserver answers on its port."""

from http import HTTPStatus
from urllib.error import URLError
from urllib.request import urlopen

from contracts.ports import HOST


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
