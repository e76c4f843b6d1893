"""The application of one process."""

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import FrameType
from typing import Any

import structlog
from litestar import Litestar, Router
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme

from contracts.logs import log_to_stderr
from contracts.regions import WORLD
from contracts.serving_settings import ServingSettings
from contracts.settings import RegionSettings, WorldSettings
from serving.api import (
    devices,
    feed,
    fleets,
    live,
    operations,
    readings,
    shares,
    site,
    socket,
    trail,
    trips,
    webhooks,
    world,
    zones,
)
from serving.api.asking import authenticated, reads_audit, reads_data
from serving.http.answers import of_any, of_http, of_problem, of_validation
from serving.http.document import Document
from serving.http.envelope import Envelope
from serving.http.pages import pages
from serving.parts import Parts
from serving.problems import Problem
from serving.world_parts import WorldParts

VERSION = "1"
_DATA = (
    devices.list_devices,
    devices.get_device,
    live.list_live,
    live.list_newest,
    live.count_cells,
    live.stream_live,
    trail.get_trail,
    trips.list_trips,
    trips.get_trip,
    trips.list_days,
    fleets.list_fleets,
    fleets.list_fleet_days,
    fleets.list_fleet_device_days,
    feed.read_feed,
    zones.list_zones,
    zones.get_zone,
    zones.put_zone,
    zones.end_zone,
    zones.list_inside,
    zones.list_visits,
    shares.list_shares,
    shares.put_share,
    shares.revoke_share,
    webhooks.list_webhooks,
    webhooks.put_webhook,
    webhooks.turn_secret,
    webhooks.end_webhook,
    webhooks.list_deliveries,
)
_EXPOSED = ("ETag", "Fleetlake-Next", "Fleetlake-Records", "Fleetlake-Missing", "Link", "Retry-After")
_log = structlog.get_logger()


def application() -> Envelope:
    """The application of the process's environment."""
    log_to_stderr()
    if os.environ.get("FLEETLAKE_REGION") == WORLD:
        return build_world(WorldSettings.load())
    return build(RegionSettings.load())


def build(settings: RegionSettings) -> Envelope:
    """The application of a region, whose parts begin and end with it."""
    handlers = [_api(), operations.healthz, operations.readyz, operations.metrics, *_site()]
    return _app(settings.serving, settings.region, handlers, "parts", lambda: Parts(settings))


def build_world(settings: WorldSettings) -> Envelope:
    """The application of the world: released aggregates, and no store of a region."""
    api = Router("/v1", route_handlers=[world.list_world_days], guards=[authenticated], security=[{"token": []}])
    handlers = [api, operations.healthz, world.world_readyz, operations.metrics]
    return _app(settings.serving, settings.region, handlers, "world", lambda: WorldParts(settings))


def _app(
    own: ServingSettings, region: str, handlers: list[Any], name: str, make: Callable[[], Parts | WorldParts]
) -> Envelope:
    """handlers get what `make` returns by that name."""
    app = Litestar(
        route_handlers=handlers,
        lifespan=[_lifespan(region, make)],
        dependencies={name: Provide(_parts, sync_to_thread=False)},
        exception_handlers={
            Problem: of_problem,
            ValidationException: of_validation,
            HTTPException: of_http,
            Exception: of_any,
        },
        cors_config=CORSConfig(
            allow_origins=list(own.allowed_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Last-Event-ID", "If-None-Match"],
            expose_headers=list(_EXPOSED),
        ),
        openapi_config=_openapi(region),
        logging_config=None,
        debug=False,
    )
    return Envelope(app, lambda: getattr(getattr(app.state, "parts", None), "metrics", None), _headers(own))


def _api() -> Router:
    data = Router("/", route_handlers=list(_DATA), guards=[reads_data])
    audit = Router("/", route_handlers=[readings.list_readings], guards=[reads_audit])
    own = Router("/", route_handlers=[data, audit], guards=[authenticated])
    return Router("/v1", route_handlers=[own, shares.show_shared, socket.watch_live], security=[{"token": []}])


def _site() -> tuple[Any, ...]:
    return site.front, site.config, site.page


def _parts(state: State) -> Any:
    return state.parts


def _lifespan(region: str, make: Callable[[], Parts | WorldParts]) -> Any:
    @asynccontextmanager
    async def life(app: Litestar) -> AsyncIterator[None]:
        app.state.pages = pages()
        parts = make()
        await parts.open()
        app.state.parts = parts
        _drain_at_signals(parts)
        _log.info("serving.started", region=region, pid=os.getpid())
        try:
            yield
        finally:
            await parts.close()
            _log.info("serving.ended", region=region, pid=os.getpid())

    return life


def _drain_at_signals(parts: Parts | WorldParts) -> None:
    """Streams end at the first signal; the server waits for what is under way."""
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)

        def handle(received: int, frame: FrameType | None, before: Any = before) -> None:
            parts.end()
            if callable(before):
                before(received, frame)

        try:
            signal.signal(number, handle)
        except ValueError:  # not in the main thread, as in tests
            return


def _headers(own: ServingSettings) -> dict[str, str]:
    sites = " ".join(sorted(set(own.map_sites.values())))
    policy = (
        "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        f"connect-src 'self'{' ' + sites if sites else ''}; font-src 'self'; manifest-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "X-Frame-Options": "DENY",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Strict-Transport-Security": "max-age=31536000",
        "Cache-Control": "private, no-cache",
    }


def _openapi(region: str) -> OpenAPIConfig:
    return OpenAPIConfig(
        title=f"Fleetlake {region}",
        version=VERSION,
        description="Where every device of a region is, where it was, its trips and days.",
        path="/v1",
        render_plugins=[Document()],
        use_handler_docstrings=True,
        components=Components(
            security_schemes={"token": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")}
        ),
    )
