"""Where everything is: devices by fleet, box or place, counted by cell, and as a stream of what changes."""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
from litestar import Request, Response, get
from litestar.di import Provide
from litestar.params import Parameter

from serving.api.asking import MOST_ITEMS, After, FleetFilter, Limit, caller_of, encoded, fleets_of, live_table
from serving.api.models import CellPage, LivePage, NewestPage
from serving.http.events import EventStream
from serving.live.cells import MOST_ZOOM, Cell, cells
from serving.live.feed import entry_of, version_of
from serving.live.item import State
from serving.live.push import Client, Watch
from serving.live.table import Box, LiveTable, Rows
from serving.parts import Parts
from serving.problems import BadRequest

MOST_RADIUS_M = 500_000.0
_PLACE = 2
_BOX = 4
_LIMITS = (180.0, 90.0)

BoxText = Annotated[
    str | None,
    Parameter(
        max_length=100,
        description="west,south,east,north in degrees. Where west is greater than east it crosses 180 degrees.",
    ),
]
NearText = Annotated[str | None, Parameter(max_length=60, description="lat,lon in degrees: the nearest come first.")]
Radius = Annotated[float, Parameter(gt=0, le=MOST_RADIUS_M, description="Metres around `near`.")]
Status = Annotated[State | None, Parameter(description="Devices that were heard last in this state.")]


class Chosen(NamedTuple):
    """The devices that a request asks for."""

    table: LiveTable
    rows: Rows
    """Those of the page."""
    total: int
    """How many match."""
    following: str | None
    """The cursor of the next page."""


async def chosen(
    request: Request[Any, Any, Any],
    parts: Parts,
    fleet: FleetFilter = None,
    bbox: BoxText = None,
    near: NearText = None,
    radius_m: Radius = 10_000.0,
    status: Status = None,
    after: After = None,
    limit: Limit = 100,
) -> Chosen:
    """What the parameters of a request choose, among the token's fleets."""
    if near is not None and (bbox is not None or after is not None):
        raise BadRequest("near goes with neither bbox nor after: it answers with the nearest")
    table = live_table(parts)
    rows = table.view(fleets_of(caller_of(request), fleet)).rows
    if status is not None:
        rows = table.in_state(rows, status)
    if near is not None:
        lat, lon = _numbers(near, "near", _PLACE)
        _within(lon, lat, "near")
        found, _ = table.near(rows, lat, lon, radius_m, len(rows))
        return Chosen(table, found[:limit], len(found), None)
    if (box := box_of(bbox)) is not None:
        rows = table.in_box(rows, box)
    behind = rows if after is None else _behind(table, rows, after)
    page = behind[:limit]
    return Chosen(table, page, len(rows), table.ids[page[-1]] if len(behind) > limit else None)


_CHOSEN = {"chosen": Provide(chosen)}


@get("/live", tags=["live"], dependencies=_CHOSEN)
async def list_live(parts: Parts, chosen: Chosen) -> Response[LivePage]:
    """Devices on the map: position, motion and state of each, in all the token's fleets or as the filters say."""
    items = b",".join(chosen.table.items[row] for row in chosen.rows.tolist() if chosen.table.items[row])
    return encoded(_page(items, chosen, parts.feed.version), LivePage)


@get("/live/records", tags=["live"], dependencies=_CHOSEN)
async def list_newest(parts: Parts, chosen: Chosen) -> Response[NewestPage]:
    """Newest records with all their readings, chosen as by /live and read from Redis."""
    table = chosen.table
    found = await parts.records.newest([table.ids[row] for row in chosen.rows.tolist() if table.items[row]])
    return encoded(_page(b",".join(filter(None, found)), chosen), NewestPage)


@get("/live/cells", tags=["live"])
async def count_cells(
    request: Request[Any, Any, Any],
    parts: Parts,
    zoom: Annotated[int, Parameter(ge=0, le=MOST_ZOOM, description="Of the map: cells are 64 pixels wide.")],
    fleet: FleetFilter = None,
    bbox: BoxText = None,
    limit: Limit = MOST_ITEMS,
) -> CellPage:
    """Devices counted by cell of a grid: 400,000 devices are 400,000, on one page."""
    table = live_table(parts)
    rows = table.view(fleets_of(caller_of(request), fleet)).rows
    found: list[Cell] = cells(table, rows, zoom, box_of(bbox))
    placed = int(np.count_nonzero(~np.isnan(table.lat[rows])))
    return CellPage(
        cells=found[:limit],
        devices=sum(cell.devices for cell in found),
        without_position=len(rows) - placed,
        left_out=max(0, len(found) - limit),
    )


@get("/live/stream", tags=["live"])
async def stream_live(
    request: Request[Any, Any, Any],
    parts: Parts,
    fleet: FleetFilter = None,
    bbox: BoxText = None,
    last_event_id: Annotated[
        str | None, Parameter(header="Last-Event-ID", max_length=40, description="Begin with what changed since.")
    ] = None,
) -> EventStream:
    """What changes, as server-sent events: `devices` with items as in /live, once a second at most, each device once.

    Each event has an id. A client that comes back with it as Last-Event-ID is sent what changed meanwhile, in any
    process. A client that is slow misses turns, not devices. `behind` says that live state cannot be followed just now.
    """
    caller = caller_of(request)
    watch = Watch(fleets=tuple(fleets_of(caller, fleet)), box=box_of(bbox), since=version_in(parts, last_event_id))
    events = parts.pusher.events(Client(caller, watch))
    return EventStream(events, parts.streams.hold(caller.token_id), parts.pusher.patience_s)


def _behind(table: LiveTable, rows: Rows, after: str) -> Rows:
    """Those of the rows, which are by id, whose id is greater."""
    low, high = 0, len(rows)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if table.ids[rows[middle]] <= after else (low, middle)
    return rows[low:]


def _page(items: bytes, chosen: Chosen, version: int | None = None) -> bytes:
    """The documents of a page as they are."""
    named = b'"%s"' % chosen.following.encode() if chosen.following else b"null"
    last = b"" if version is None else b',"version":"%s"' % entry_of(version).encode()
    return b'{"items":[%s],"total":%d,"next":%s%s}' % (items, chosen.total, named, last)


def box_of(text: str | None) -> Box | None:
    if text is None:
        return None
    west, south, east, north = _numbers(text, "bbox", _BOX)
    _within(west, south, "bbox")
    _within(east, north, "bbox")
    if south > north:
        raise BadRequest("bbox: south is greater than north; write west,south,east,north")
    return Box(west, south, east, north)


def _numbers(text: str, name: str, count: int) -> Sequence[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise BadRequest(f"{name}: write {count} numbers, separated by commas")
    return numbers


def _within(lon: float, lat: float, name: str) -> None:
    if abs(lon) > _LIMITS[0] or abs(lat) > _LIMITS[1]:
        raise BadRequest(f"{name}: longitudes are within 180 degrees, latitudes within 90")


def version_in(parts: Parts, last_event_id: str | None) -> int:
    """The version that a client has; the present one where it does not say."""
    if last_event_id is None:
        return parts.feed.version
    try:
        return min(version_of(last_event_id), parts.feed.version)
    except ValueError:
        raise BadRequest("Last-Event-ID: hand back the id of an event, or `version` of a page") from None
