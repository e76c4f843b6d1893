"""Trips and days of a device, from the marts."""

from datetime import date, timedelta
from typing import Annotated, Any

from litestar import Request, get
from litestar.params import Parameter

from serving.api.asking import After, DeviceId, Limit, caller_of, own_device, page_of
from serving.api.models import DeviceDay, DeviceDayPage, Trip, TripDetail, TripPage
from serving.api.times import day_of
from serving.parts import Parts
from serving.problems import NotFound

_TRIP = """trip_id, device_id, day, start_ts, end_ts, start_lat_deg, start_lon_deg, end_lat_deg, end_lon_deg,
    distance_km, moving_s, idle_s, max_speed_kmh, fuel_l, records, is_final"""
_TRIPS = f"""
select {_TRIP} from marts.trip
where device_id = %(device)s and day between %(first)s and %(last)s
    and (start_ts, trip_id) > (
        coalesce((select start_ts from marts.trip where trip_id = %(after)s and device_id = %(device)s), '-infinity'),
        coalesce(%(after)s, '')
    )
order by start_ts, trip_id limit %(limit)s
"""  # noqa: S608 - a constant
_ONE = f"""
select {_TRIP} from marts.trip
where device_id = %(device)s and trip_id = %(trip)s
    and (%(all)s or device_id in (select device_id from registry.device where fleet_id = any(%(fleets)s)))
"""  # noqa: S608 - a constant
_DAYS = """
select device_id, day, records, flagged_records, late_records, first_ts, last_ts, engine_s, moving_s, idle_s, off_s,
    unknown_s, distance_gps_km, distance_odometer_km, max_speed_kmh, fuel_l, trips, is_final
from marts.device_day where device_id = %(device)s and day between %(first)s and %(last)s and day > %(after)s
order by day limit %(limit)s
"""
_MOMENT = timedelta(milliseconds=1)
_LONG_AGO = date(1970, 1, 1)

FirstDay = Annotated[str, Parameter(query="from", max_length=10, description="Business day, such as 2026-11-01.")]
LastDay = Annotated[str, Parameter(query="to", max_length=10, description="Business day, which is included.")]
TripId = Annotated[str, Parameter(max_length=200, description="The trip's id.")]


@get("/devices/{device_id:str}/trips", tags=["past"])
async def list_trips(
    request: Request[Any, Any, Any],
    parts: Parts,
    device_id: DeviceId,
    first: FirstDay,
    last: LastDay,
    after: After = None,
    limit: Limit = 100,
) -> TripPage:
    """Trips of a device that start on these business days."""
    caller = caller_of(request)
    days = {"first": day_of(first, "from"), "last": day_of(last, "to")}
    await own_device(parts, caller, device_id)
    await parts.audit.note(caller, device_id, "trips")
    rows = await parts.postgres.rows(_TRIPS, {"device": device_id, "after": after, "limit": limit + 1, **days})
    items, following = page_of(rows, limit, Trip, "trip_id")
    return TripPage(items=items, next=following)


@get("/trips/{trip_id:str}", tags=["past"])
async def get_trip(request: Request[Any, Any, Any], parts: Parts, trip_id: TripId) -> TripDetail:
    """A trip and its path."""
    caller = caller_of(request)
    named = {"trip": trip_id, "device": _device_in(trip_id)}
    values = {**named, "all": caller.sees_all, "fleets": list(caller.fleets)}
    rows = await parts.postgres.rows(_ONE, values)
    if not rows:
        raise NotFound("no such trip among those of the token's fleets")
    (trip,), _ = page_of(rows, 1, Trip, "trip_id")
    await parts.audit.note(caller, trip.device_id, "trip", trip.start_ts, trip.end_ts)
    found = await parts.trails.trail(
        trip.device_id, trip.start_ts, trip.end_ts + _MOMENT, None, parts.own.trail_records
    )

    def path() -> list[tuple[int, float, float, float | None]]:
        from lake.trail.formats import positions

        return [
            (round(row["ts"].timestamp() * 1000), row["lat"], row["lon"], row["speed_kmh"]) for row in positions(found)
        ]

    return TripDetail(trip=trip, path=await parts.trails.apart(path))


@get("/devices/{device_id:str}/days", tags=["past"])
async def list_days(
    request: Request[Any, Any, Any],
    parts: Parts,
    device_id: DeviceId,
    first: FirstDay,
    last: LastDay,
    after: After = None,
    limit: Limit = 100,
) -> DeviceDayPage:
    """Business days of a device: use, distance, fuel."""
    caller = caller_of(request)
    days = {"first": day_of(first, "from"), "last": day_of(last, "to")}
    begin = _LONG_AGO if after is None else day_of(after, "after")
    await own_device(parts, caller, device_id)
    await parts.audit.note(caller, device_id, "days")
    rows = await parts.postgres.rows(_DAYS, {"device": device_id, "after": begin, "limit": limit + 1, **days})
    items, following = page_of(rows, limit, DeviceDay, "day")
    return DeviceDayPage(items=items, next=following)


def _device_in(trip_id: str) -> str:
    """The device that a trip's id begins with."""
    return trip_id.rpartition("-")[0]
