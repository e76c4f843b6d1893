"""Zones of a fleet, the devices in them now, and a device's visits.

Both are told by one rule (serving.zones.visits): the visits of a span from the records of all stores, late ones
included, and who is inside from the points that Redis keeps.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
import numpy as np
from litestar import Request, delete, get, post
from litestar.params import Parameter

from serving.api.asking import (
    MOST_ITEMS,
    After,
    DeviceId,
    First,
    FleetFilter,
    Last,
    Limit,
    caller_of,
    is_operator,
    live_table,
    own_device,
    page_of,
)
from serving.api.models import NewZone, VisitPage, Zone, ZonePage
from serving.api.times import moment_of, span
from serving.api.visits import visit_of, visits_of
from serving.parts import Parts
from serving.problems import BadRequest, TooMuch
from serving.zones.ring import Ring
from serving.zones.visits import MARGIN_M, Stay, stays

MOST_BODY_BYTES = 32_768
_CLOCKS_DIFFER = timedelta(minutes=1)
ZoneId = Annotated[UUID, Parameter(description="The zone's id.")]
Moment = Annotated[str | None, Parameter(max_length=40, description="A time with an offset.")]


@get("/zones", tags=["zones"])
async def list_zones(
    request: Request[Any, Any, Any],
    parts: Parts,
    fleet: FleetFilter = None,
    at: Moment = None,
    ended: Annotated[bool, Parameter(description="Also those that have ended.")] = True,
    after: After = None,
    limit: Limit = 100,
) -> ZonePage:
    """Zones of the token's fleets, those that have ended too; with `at` those that hold then."""
    try:
        behind = None if after is None else UUID(after)
    except ValueError:
        raise BadRequest("after: hand back `next` of the page before") from None
    rows = await parts.zones.page(caller_of(request), fleet, moment_of(at, "at"), ended, behind, limit)
    items, following = page_of(rows, limit, Zone, "zone_id")
    return ZonePage(items=items, next=following)


@get("/zones/{zone_id:uuid}", tags=["zones"])
async def get_zone(request: Request[Any, Any, Any], parts: Parts, zone_id: ZoneId) -> Zone:
    """One zone."""
    return msgspec.convert(await parts.zones.one(caller_of(request), zone_id), Zone)


@post("/zones", tags=["zones"], guards=[is_operator], request_max_body_size=MOST_BODY_BYTES)
async def put_zone(request: Request[Any, Any, Any], parts: Parts, data: NewZone) -> Zone:
    """A new zone of one of the token's fleets. Needs role operator."""
    # GeoJSON repeats the first vertex at the end.
    ring = data.ring[:-1] if data.ring[0] == data.ring[-1] else data.ring
    Ring(ring)
    _check_times(data)
    row = await parts.zones.put(caller_of(request), msgspec.structs.asdict(data) | {"ring": ring})
    return msgspec.convert(row, Zone)


def _check_times(zone: NewZone) -> None:
    """Raises BadRequest."""
    now = datetime.now(UTC)
    begin = zone.valid_from or now
    if zone.valid_to is not None and zone.valid_to <= begin:
        raise BadRequest("valid_to: it has to be after the zone begins")
    if zone.replaces is not None and zone.valid_from is not None and zone.valid_from < now - _CLOCKS_DIFFER:
        raise BadRequest("valid_from: a zone that replaces another does not begin in the past; leave it out for now")


@delete("/zones/{zone_id:uuid}", tags=["zones"], guards=[is_operator], status_code=200)
async def end_zone(request: Request[Any, Any, Any], parts: Parts, zone_id: ZoneId, at: Moment = None) -> Zone:
    """End a zone, now or at a moment to come. It stays for the past that it held for. Needs role operator."""
    return msgspec.convert(await parts.zones.end(caller_of(request), zone_id, moment_of(at, "at")), Zone)


@get("/zones/{zone_id:uuid}/devices", tags=["zones"])
async def list_inside(request: Request[Any, Any, Any], parts: Parts, zone_id: ZoneId) -> VisitPage:
    """Devices of the zone's fleet that are in it now, and since when as far as live state tells. It is recorded."""
    caller = caller_of(request)
    zone = msgspec.convert(await parts.zones.one(caller, zone_id), Zone)
    if zone.valid_from > datetime.now(UTC) or (zone.valid_to is not None and zone.valid_to <= datetime.now(UTC)):
        return VisitPage(items=[])
    ring, table = Ring(zone.ring), live_table(parts)
    rows = table.view([zone.fleet_id]).rows
    near = rows[ring.is_close(table.lat[rows], table.lon[rows], MARGIN_M)]
    if len(near) > MOST_ITEMS:
        raise TooMuch(f"{len(near):,} devices are in or near the zone; this answers for {MOST_ITEMS:,}")
    ids = [table.ids[row] for row in near.tolist()]
    if not ids:
        return VisitPage(items=[])
    await parts.audit.note_all(caller, ids, "zone")
    now_ms = round(time.time() * 1000)
    found = []
    for device, points in zip(ids, await parts.records.trails(ids), strict=True):
        stay = _last(points, ring, round(zone.valid_from.timestamp() * 1000))
        if stay is not None:
            found.append(visit_of(zone, device, stay, now_ms))
    return VisitPage(items=sorted(found, key=lambda one: one.enter_ts))


@get("/devices/{device_id:str}/visits", tags=["zones"])
async def list_visits(
    request: Request[Any, Any, Any],
    parts: Parts,
    device_id: DeviceId,
    first: First,
    last: Last,
    zone: Annotated[UUID | None, Parameter(description="Of this zone only.")] = None,
) -> VisitPage:
    """When the device was in its fleet's zones: told anew from all its records each time, so late ones correct it."""
    caller = caller_of(request)
    start, end = span(first, last, parts.settings.row.zone, timedelta(days=parts.own.trail_days))
    fleet = await own_device(parts, caller, device_id)
    await parts.audit.note(caller, device_id, "visits", start, end)
    rows = [] if fleet is None else await parts.zones.overlapping(caller, [fleet], zone, start, end)
    if not rows:
        return VisitPage(items=[])
    found = await parts.trails.trail([device_id], start, end, None, parts.own.trail_records)
    if found.next is not None:
        raise TooMuch(f"the span has more than {parts.own.trail_records:,} records; ask for less time")
    zones = {device_id: msgspec.convert(rows, list[Zone])}
    return VisitPage(items=(await parts.trails.apart(lambda: visits_of(found, zones, end)))[device_id])


def _last(points: list[tuple[int, float, float]], ring: Ring, since_ms: int) -> Stay | None:
    """The stay that goes on, of points from that moment on."""
    held = [point for point in points if point[0] >= since_ms]
    if not held:
        return None
    ts_ms, lat, lon = (np.array(column) for column in zip(*held, strict=True))
    found = stays(ts_ms.astype(np.int64), lat, lon, ring)
    return found[-1] if found and found[-1].leave_ms is None else None
