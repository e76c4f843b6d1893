"""A process's HTTP pages for a load balancer, ECS and Prometheus."""

import errno
from collections.abc import Callable

import msgspec
from aiohttp import web

from contracts.errors import PortTaken
from gateway.metrics import Metrics

_UNAVAILABLE = 503


class Health(msgspec.Struct, kw_only=True):
    """ready: whether new connections are taken and the stream takes records. Each part says what it is."""

    process: str
    alive: bool
    ready: bool
    draining: bool
    connections: int
    sessions: int
    acknowledged: int
    held_bytes: int
    stream_down_s: float
    registry_away: bool
    hub_up: bool


class Pages:
    """/healthz (200 while the process runs its loop), /readyz (200 while devices should come here), /metrics."""

    def __init__(self, health: Callable[[], Health], metrics: Metrics) -> None:
        self._health = health
        self._metrics = metrics
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> str:
        """Listen; the URL. Port 0 is a free one. Raises PortTaken."""
        app = web.Application()
        app.router.add_get("/healthz", self._alive)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._page)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self.stop()
            if error.errno != errno.EADDRINUSE:
                raise
            raise PortTaken(
                f"port {port} is in use; set FLEETLAKE_METRICS_PORT to another, or 0 for a free one"
            ) from None
        address = self._runner.addresses[0]
        return f"http://{address[0]}:{address[1]}"

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
        self._health()
        return web.Response(body=self._metrics.page(), content_type="text/plain", charset="utf-8")


def _json(health: Health, *, ok: bool) -> web.Response:
    body = msgspec.json.encode(health)
    return web.Response(body=body, status=200 if ok else _UNAVAILABLE, content_type="application/json")
