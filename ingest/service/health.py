"""A worker's HTTP pages for a load balancer, ECS and Prometheus."""

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
"""The address by which programs of this machine reach a server on every interface."""


class HealthServer:
    """/healthz (200 while the worker makes progress), /readyz (200 while nothing is missing) and /metrics, for anyone.

    Both health pages are the JSON of ingest.worker.Health. A store that is down makes a worker unready, not
    unhealthy: a restart would not help.
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
                raise Misuse(f"FLEETLAKE_METRICS_HOST: {host!r} is not an address of this machine") from None
            if error.errno != errno.EADDRINUSE:
                raise
            raise PortTaken(
                f"port {port} is in use; set FLEETLAKE_METRICS_PORT to another, or 0 for a free one"
            ) from None
        self._runner = runner
        here = _HERE.get(host, host)
        return f"http://{f'[{here}]' if ':' in here else here}:{runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stop listening."""
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
