"""Devices: search, and one with its newest record."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, get
from litestar.params import Parameter

from serving.api.asking import After, DeviceId, FleetFilter, Limit, caller_of, fleets_of, own_device, page_of
from serving.api.models import Device, DeviceDetail, DevicePage
from serving.live.item import LiveItem, State
from serving.parts import Parts

_SEARCH = """
select device_id, fleet_id, type, make, model, fuel from registry.shown_device
where (%(all)s or fleet_id = any(%(fleets)s)) and device_id > %(after)s
    and (%(named)s::text[] is null or device_id = any(%(named)s))
    and (%(part)s::text is null or device_id ilike %(part)s or make ilike %(part)s or model ilike %(part)s)
order by device_id limit %(limit)s
"""
_ONE = "select device_id, fleet_id, type, make, model, fuel from registry.shown_device where device_id = %s"
_decode_item = msgspec.json.Decoder(LiveItem).decode


@get("/devices", tags=["devices"])
async def list_devices(
    request: Request[Any, Any, Any],
    parts: Parts,
    q: Annotated[str | None, Parameter(max_length=128, description="Part of the id, the make or the model.")] = None,
    fleet: FleetFilter = None,
    status: Annotated[State | None, Parameter(description="Devices that were heard last in this state.")] = None,
    after: After = None,
    limit: Limit = 100,
) -> DevicePage:
    """Devices of the token's fleets by id. Searches ids, makes and models."""
    fleets = fleets_of(caller_of(request), fleet)
    values = {
        "all": "*" in fleets,
        "fleets": list(fleets),
        "after": after or "",
        "named": None if status is None else _in_state(parts, fleets, status, after, limit + 1 if q is None else None),
        "part": None if q is None else f"%{_literally(q)}%",
        "limit": limit + 1,
    }
    items, following = page_of(await parts.postgres.rows(_SEARCH, values), limit, Device, "device_id")
    return DevicePage(items=[_with_state(parts, item) for item in items], next=following)


@get("/devices/{device_id:str}", tags=["devices"])
async def get_device(request: Request[Any, Any, Any], parts: Parts, device_id: DeviceId) -> DeviceDetail:
    """One device: what the registry says, and the newest record with all its readings."""
    fleet = await own_device(parts, caller_of(request), device_id)
    rows = await parts.postgres.rows(_ONE, (device_id,))
    device = msgspec.convert(rows[0], Device) if rows else Device(device_id=device_id, fleet_id=fleet)
    (document,) = await parts.records.newest([device_id])
    newest = None if document is None else msgspec.json.decode(document)
    return DeviceDetail(device=_with_state(parts, device), newest=newest)


def _in_state(parts: Parts, fleets: Sequence[str], status: State, after: str | None, most: int | None) -> list[str]:
    """Ids of registered devices that were heard last in that state; `most` are enough where nothing else narrows."""
    table = parts.feed.table
    view = table.view(fleets)
    rows = table.in_state(view.rows[view.after(after) :], status)
    registered = rows[table.fleet[rows] >= 0]
    return [table.ids[row] for row in registered[:most].tolist()]


def _with_state(parts: Parts, device: Device) -> Device:
    item = parts.feed.table.item(device.device_id)
    if item:
        live = _decode_item(item)
        device.state, device.ts = live.state, datetime.fromisoformat(live.ts)
    return device


def _literally(text: str) -> str:
    """The text without meaning for LIKE."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
