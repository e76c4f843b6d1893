"""Pages for load balancers, Prometheus and operators: no token, no data of any device."""

from litestar import Response, get
from litestar.datastructures import State

from serving.live.push import LATE_S
from serving.parts import Parts

_UNAVAILABLE = 503


@get("/healthz", include_in_schema=False)
async def healthz() -> dict[str, bool]:
    """Whether the process answers. A store that is away does not make it unhealthy: a restart would not help."""
    return {"alive": True}


@get("/readyz", include_in_schema=False)
async def readyz(state: State) -> Response[dict[str, object]]:
    """Whether requests should come here, and which store is away. One that some answers do without keeps it ready."""
    parts: Parts = state.parts
    stores = await parts.stores()
    draining, loaded = parts.draining.is_set(), bool(parts.feed.loads)
    body = {"ready": loaded and not draining, "draining": draining, "stores": stores, "loaded": loaded}
    body["live_behind"] = parts.feed.behind_s > LATE_S
    return Response(body, status_code=200 if body["ready"] else _UNAVAILABLE)


@get("/metrics", include_in_schema=False)
async def metrics(state: State) -> Response[bytes]:
    """What Prometheus scrapes."""
    parts: Parts = state.parts
    return Response(parts.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")
