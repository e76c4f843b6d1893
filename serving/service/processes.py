"""The service's processes: they share one port, those that die are started again, and all drain together."""

import errno
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn
from uvicorn.supervisors import Multiprocess

from contracts.errors import BadSettings, Misuse, PortTaken
from contracts.logs import log_to_stderr
from contracts.settings import RegionSettings, WorldSettings
from serving.metrics import FOLDER

_BACKLOG = 2_048
_KEEP_ALIVE_S = 75
_SILENT_S = 30
"""A process that does not answer its parent for so long is replaced."""
MOST_MESSAGE_BYTES = 32_768
"""Of a WebSocket's client."""
_UNSENT_BYTES = 131_072
"""The kernel takes no more for a connection that it could not send: by default it holds up to 4 MiB (tcp_wmem) for a
client that takes nothing, which is then found out minutes later, if at all."""
_log = structlog.get_logger()


def serve(settings: RegionSettings | WorldSettings, processes: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises BadSettings, PortTaken, and Misuse for an address of another machine."""
    log_to_stderr()
    _check(settings)
    with _listening(settings) as listening:
        host, port = listening.getsockname()[:2]
        _log.info(
            "serving.listening", region=settings.region, port=port, url=f"http://{host}:{port}", processes=processes
        )
        config = uvicorn.Config(
            "serving.service.app:application",
            factory=True,
            loop="uvloop",
            http="httptools",
            ws="websockets-sansio",
            ws_max_size=MOST_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=True,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=max(1, round(settings.serving.drain_s)),
            workers=processes,
            timeout_worker_healthcheck=_SILENT_S,
        )
        if processes == 1:
            with _ending_well():
                uvicorn.Server(config).run(sockets=[listening])
            return
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="fleetlake-serving-")
        try:
            Multiprocess(config, [listening]).run()
        finally:
            shutil.rmtree(os.environ.pop(FOLDER), ignore_errors=True)


@contextmanager
def _ending_well() -> Iterator[None]:
    """While inside, a signal that uvicorn raises again once it has drained ends nothing: the process ends with 0."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: None) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _check(settings: RegionSettings | WorldSettings) -> None:
    """Raises BadSettings before any process starts."""
    if settings.serving.jwks is None:
        raise BadSettings("FLEETLAKE_SERVING_JWKS: name the key set whose tokens are believed (see docs/settings.md)")


def _listening(settings: RegionSettings | WorldSettings) -> socket.socket:
    own = settings.serving
    made = socket.socket(socket.AF_INET6 if ":" in own.host else socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)  # connections inherit it
    try:
        made.bind((own.host, own.port))
        made.listen(_BACKLOG)
    except socket.gaierror:
        made.close()
        raise Misuse(f"FLEETLAKE_SERVING_HOST: {own.host!r} is not an address of this machine") from None
    except OSError as error:
        made.close()
        if error.errno != errno.EADDRINUSE:
            raise Misuse(f"FLEETLAKE_SERVING_HOST: {own.host!r} cannot be listened on ({error.strerror})") from None
        raise PortTaken(
            f"port {own.port} is in use; set FLEETLAKE_SERVING_PORT to another, or 0 for a free one"
        ) from None
    made.set_inheritable(True)
    return made
