"""What a load balancer, ECS and Prometheus ask a worker over HTTP."""

import errno
import socket
from collections.abc import Callable

import msgspec
from aiohttp import web

from contracts.errors import Misuse, PortTaken
from ingest.runtime.metrics import Metrics
from ingest.worker import Health

_UNAVAILABLE = 503
_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
"""Where programs of this machine find what is served on every interface."""


class HealthServer:
    """/healthz (200 while it works at all), /readyz (200 while nothing is missing), /metrics; to whoever reaches them.

    Both health pages are the JSON of ingest.worker.Health. A store that is away makes a worker unready, not
    unhealthy: starting it again would not help.
    """

    def __init__(self, health: Callable[[], Health], metrics: Metrics, show: Callable[[], None]) -> None:
        self._health = health
        self._metrics = metrics
        self._show = show
        self._runner: web.AppRunner | None = None

    async def start(self, port: int, host: str = "127.0.0.1") -> str:
        """Listen; the URL for programs of this machine. Port 0 is a free one. Raises PortTaken, and Misuse for a host
        that is not this machine's.
        """
        app = web.Application()
        app.router.add_get("/healthz", self._alive)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._page)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
                raise Misuse(f"FLEETLAKE_METRICS_HOST: {host!r} is no address of this machine") from None
            if error.errno != errno.EADDRINUSE:
                raise
            raise PortTaken(
                f"port {port} is in use; set FLEETLAKE_METRICS_PORT to another, or 0 for a free one"
            ) from None
        self._runner = runner
        here = _HERE.get(host, host)
        return f"http://{f'[{here}]' if ':' in here else here}:{runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _alive(self, _: web.Request) -> web.Response:
        health = self._health()
        return _json(health, ok=health.alive)

    async def _ready(self, _: web.Request) -> web.Response:
        health = self._health()
        return _json(health, ok=health.ready)

    async def _page(self, _: web.Request) -> web.Response:
        self._show()
        return web.Response(body=self._metrics.page(), content_type="text/plain", charset="utf-8")


def _json(health: Health, *, ok: bool) -> web.Response:
    body = msgspec.json.encode(health)
    return web.Response(body=body, status=200 if ok else _UNAVAILABLE, content_type="application/json")
