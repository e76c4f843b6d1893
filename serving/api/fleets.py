"""Fleets of the token, and their business days from the marts."""

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.params import Parameter

from serving.access.caller import Caller
from serving.api.asking import After, Limit, caller_of, page_of
from serving.api.days import BY_DAY, Days, columns_of, listed
from serving.api.models import DeviceDay, DeviceDayPage, Fleet, FleetDay, FleetDayPage, FleetPage
from serving.parts import Parts
from serving.problems import NotFound

_FLEETS = """
select f.fleet_id, f.name, (select count(*) from registry.shown_device d where d.fleet_id = f.fleet_id) as devices
from registry.fleet f where (%(all)s or f.fleet_id = any(%(fleets)s)) and f.fleet_id > %(after)s
order by f.fleet_id limit %(limit)s
"""
_ONE = "select fleet_id from registry.fleet where fleet_id = %(fleet)s and (%(all)s or fleet_id = any(%(fleets)s))"
_DAYS = f"""
select {columns_of(FleetDay)} from marts.fleet_day
where fleet_id = %(fleet)s and (%(all)s or fleet_id = any(%(fleets)s))
    and day between %(first)s and %(last)s and day > %(after)s
order by day limit %(limit)s
"""  # noqa: S608 - a constant
_DEVICE_DAYS = f"""
select {columns_of(DeviceDay, "d.")}, d.day || '/' || d.device_id as place
from marts.device_day d join registry.shown_device r on r.device_id = d.device_id
where r.fleet_id = %(fleet)s and (%(all)s or r.fleet_id = any(%(fleets)s))
    and d.day between %(first)s and %(last)s and (d.day, d.device_id) > (%(after)s, %(device)s)
order by d.day, d.device_id limit %(limit)s
"""  # noqa: S608 - a constant
FleetId = Annotated[str, Parameter(max_length=128, description="The fleet's id.")]


@get("/fleets", tags=["fleets"])
async def list_fleets(
    request: Request[Any, Any, Any], parts: Parts, after: After = None, limit: Limit = 100
) -> FleetPage:
    """The fleets that the token names and the region has."""
    values = {**_narrowed(caller_of(request)), "after": after or "", "limit": limit + 1}
    items, following = page_of(await parts.postgres.rows(_FLEETS, values), limit, Fleet, "fleet_id")
    return FleetPage(items=items, next=following)


@get("/fleets/{fleet_id:str}/days", tags=["fleets"], dependencies=BY_DAY)
async def list_fleet_days(
    request: Request[Any, Any, Any], parts: Parts, fleet_id: FleetId, days: Days
) -> Response[FleetDayPage]:
    """Business days of a fleet: utilisation, distance, fuel."""
    own = await _own_fleet(parts, caller_of(request), fleet_id)
    after, _ = days.after_day()
    rows = await parts.postgres.rows(_DAYS, {**own, **days.values(), "after": after})
    return await listed(request, days, rows, FleetDayPage, "day", f"{fleet_id}-days")


@get("/fleets/{fleet_id:str}/device-days", tags=["past"], dependencies=BY_DAY)
async def list_fleet_device_days(
    request: Request[Any, Any, Any], parts: Parts, fleet_id: FleetId, days: Days
) -> Response[DeviceDayPage]:
    """Business days of each device that the fleet has now, by day and device. Each device's reading is recorded."""
    caller = caller_of(request)
    own = await _own_fleet(parts, caller, fleet_id)
    after, device = days.after_day()
    rows = await parts.postgres.rows(_DEVICE_DAYS, {**own, **days.values(), "after": after, "device": device})
    await parts.audit.note_all(caller, sorted({str(row["device_id"]) for row in rows}), "days")
    return await listed(request, days, rows, DeviceDayPage, "place", f"{fleet_id}-device-days")


async def _own_fleet(parts: Parts, caller: Caller, fleet_id: str) -> dict[str, Any]:
    """What questions need to be narrowed to the fleet. Raises NotFound."""
    own = {**_narrowed(caller), "fleet": fleet_id}
    if not await parts.postgres.rows(_ONE, own):
        raise NotFound("no such fleet among the token's")
    return own


def _narrowed(caller: Caller) -> dict[str, Any]:
    return {"all": caller.sees_all, "fleets": list(caller.fleets)}
