"""Fleets of the token, and their business days from the marts."""

from datetime import date
from typing import Annotated, Any

from litestar import Request, get
from litestar.params import Parameter

from serving.access.caller import Caller
from serving.api.asking import After, Limit, caller_of, page_of
from serving.api.models import Fleet, FleetDay, FleetDayPage, FleetPage
from serving.api.times import day_of
from serving.api.trips import FirstDay, LastDay
from serving.parts import Parts
from serving.problems import NotFound

_FLEETS = """
select f.fleet_id, f.name, (select count(*) from registry.device d where d.fleet_id = f.fleet_id) as devices
from registry.fleet f where (%(all)s or f.fleet_id = any(%(fleets)s)) and f.fleet_id > %(after)s
order by f.fleet_id limit %(limit)s
"""
_ONE = "select fleet_id from registry.fleet where fleet_id = %(fleet)s and (%(all)s or fleet_id = any(%(fleets)s))"
_DAYS = """
select fleet_id, day, devices_available, devices_reporting, devices_active, utilisation_engine_s,
    utilisation_available_s, moving_s, idle_s, distance_gps_km, fuel_l, trips, is_final
from marts.fleet_day
where fleet_id = %(fleet)s and (%(all)s or fleet_id = any(%(fleets)s))
    and day between %(first)s and %(last)s and day > %(after)s
order by day limit %(limit)s
"""
_LONG_AGO = date(1970, 1, 1)
FleetId = Annotated[str, Parameter(max_length=128, description="The fleet's id.")]


@get("/fleets", tags=["fleets"])
async def list_fleets(
    request: Request[Any, Any, Any], parts: Parts, after: After = None, limit: Limit = 100
) -> FleetPage:
    """The fleets that the token names and the region has."""
    values = {**_narrowed(caller_of(request)), "after": after or "", "limit": limit + 1}
    items, following = page_of(await parts.postgres.rows(_FLEETS, values), limit, Fleet, "fleet_id")
    return FleetPage(items=items, next=following)


@get("/fleets/{fleet_id:str}/days", tags=["fleets"])
async def list_fleet_days(
    request: Request[Any, Any, Any],
    parts: Parts,
    fleet_id: FleetId,
    first: FirstDay,
    last: LastDay,
    after: After = None,
    limit: Limit = 100,
) -> FleetDayPage:
    """Business days of a fleet: utilisation, distance, fuel."""
    own = {**_narrowed(caller_of(request)), "fleet": fleet_id}
    days = {"first": day_of(first, "from"), "last": day_of(last, "to")}
    begin = _LONG_AGO if after is None else day_of(after, "after")
    if not await parts.postgres.rows(_ONE, own):
        raise NotFound("no such fleet among the token's")
    rows = await parts.postgres.rows(_DAYS, {**own, **days, "after": begin, "limit": limit + 1})
    items, following = page_of(rows, limit, FleetDay, "day")
    return FleetDayPage(items=items, next=following)


def _narrowed(caller: Caller) -> dict[str, Any]:
    return {"all": caller.sees_all, "fleets": list(caller.fleets)}
