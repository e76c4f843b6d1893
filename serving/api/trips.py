"""Trips and days of a device, from the marts."""

from datetime import timedelta
from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.params import Parameter

from serving.api.asking import DeviceId, caller_of, own_device, page_of
from serving.api.days import BY_DAY, Days, columns_of, listed
from serving.api.models import DeviceDay, DeviceDayPage, Trip, TripDetail, TripPage
from serving.parts import Parts
from serving.problems import NotFound

_TRIPS = f"""
select {columns_of(Trip)} from marts.trip
where device_id = %(device)s and day between %(first)s and %(last)s
    and (start_ts, trip_id) > (
        coalesce((select start_ts from marts.trip where trip_id = %(after)s and device_id = %(device)s), '-infinity'),
        coalesce(%(after)s, '')
    )
order by start_ts, trip_id limit %(limit)s
"""  # noqa: S608 - a constant
_ONE = f"""
select {columns_of(Trip)} from marts.trip
where device_id = %(device)s and trip_id = %(trip)s
    and (%(all)s or device_id in (select device_id from registry.shown_device where fleet_id = any(%(fleets)s)))
"""  # noqa: S608 - a constant
_DAYS = f"""
select {columns_of(DeviceDay)} from marts.device_day
where device_id = %(device)s and day between %(first)s and %(last)s and day > %(after)s
order by day limit %(limit)s
"""  # noqa: S608 - a constant
_MOMENT = timedelta(milliseconds=1)

TripId = Annotated[str, Parameter(max_length=200, description="The trip's id.")]


@get("/devices/{device_id:str}/trips", tags=["past"], dependencies=BY_DAY)
async def list_trips(
    request: Request[Any, Any, Any], parts: Parts, device_id: DeviceId, days: Days
) -> Response[TripPage]:
    """Trips of a device that start on these business days."""
    caller = caller_of(request)
    await own_device(parts, caller, device_id)
    await parts.audit.note(caller, device_id, "trips")
    rows = await parts.postgres.rows(_TRIPS, {**days.values(), "device": device_id, "after": days.after})
    return await listed(request, days, rows, TripPage, "trip_id", f"{device_id}-trips")


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
        [trip.device_id], trip.start_ts, trip.end_ts + _MOMENT, None, parts.own.trail_records
    )

    def path() -> list[tuple[int, float, float, float | None]]:
        from lake.trail.formats import positions

        return [
            (round(row["ts"].timestamp() * 1000), row["lat"], row["lon"], row["speed_kmh"]) for row in positions(found)
        ]

    return TripDetail(trip=trip, path=await parts.trails.apart(path))


@get("/devices/{device_id:str}/days", tags=["past"], dependencies=BY_DAY)
async def list_days(
    request: Request[Any, Any, Any], parts: Parts, device_id: DeviceId, days: Days
) -> Response[DeviceDayPage]:
    """Business days of a device: use, distance, fuel."""
    caller = caller_of(request)
    after, _ = days.after_day()
    await own_device(parts, caller, device_id)
    await parts.audit.note(caller, device_id, "days")
    rows = await parts.postgres.rows(_DAYS, {**days.values(), "device": device_id, "after": after})
    return await listed(request, days, rows, DeviceDayPage, "day", f"{device_id}-days")


def _device_in(trip_id: str) -> str:
    """The device that a trip's id begins with."""
    return trip_id.rpartition("-")[0]
