"""The map: a page without data, and the table of regions that it asks."""

from typing import Any

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.response import Redirect

from serving.http.pages import FIRST_PAGE, Page
from serving.parts import Parts
from serving.problems import NotFound

_KEPT = "public, max-age=86400"
_FRESH = "no-cache"


@get("/", include_in_schema=False)
async def front() -> Redirect:
    """The map."""
    return Redirect("/map/")


@get("/map/config.json", include_in_schema=False)
async def config(state: State) -> dict[str, Any]:
    """Regions of the map and where each is served; an empty place is this service."""
    parts: Parts = state.parts
    return {"sites": parts.own.map_sites or {parts.region: ""}}


@get(["/map/", "/map/{name:path}"], include_in_schema=False)
async def page(request: Request[Any, Any, Any], state: State, name: str = "") -> Response[bytes]:
    """A file of the map."""
    found: Page | None = state.pages.get(name.lstrip("/") or FIRST_PAGE)
    if found is None:
        raise NotFound("no such page")
    headers = {
        "etag": f'W/"{found.tag}"',
        "cache-control": _KEPT if "vendor/" in name else _FRESH,
        "vary": "accept-encoding",
    }
    if found.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.packed, media_type=found.kind, headers={**headers, "content-encoding": "gzip"})
    return Response(found.body, media_type=found.kind, headers=headers)
