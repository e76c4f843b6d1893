"""Who read which device's past: for the privacy office."""

from typing import Any

from litestar import Request, get

from serving.api.asking import After, DeviceId, Limit, caller_of, page_of
from serving.api.models import Reading, ReadingPage
from serving.parts import Parts
from serving.problems import BadRequest, NotFound

_NEWEST = 2**62


@get("/devices/{device_id:str}/readings", tags=["privacy"])
async def list_readings(
    request: Request[Any, Any, Any], parts: Parts, device_id: DeviceId, after: After = None, limit: Limit = 100
) -> ReadingPage:
    """Who read this device's past, the newest reading first. Needs role privacy and the fleet of the device."""
    caller = caller_of(request)
    if (after is not None and not after.isascii()) or (after or "0").strip("0123456789"):
        raise BadRequest("after: hand back `next` of the page before")
    fleet = parts.directory.fleet_of.get(device_id)
    if not caller.may_see(fleet):
        raise NotFound("no such device among those of the token's fleets")
    rows = await parts.audit.readings(device_id, int(after) if after else _NEWEST, limit + 1)
    items, following = page_of(rows, limit, Reading, "id")
    return ReadingPage(items=items, next=following)
