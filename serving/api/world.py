"""World figures: what the regions released. Aggregates that name nobody, the same for every token of `world`."""

from datetime import date
from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.params import Parameter

from contracts.derived import DEVICE_TYPES
from serving.api.asking import After, Limit, page_of
from serving.api.models import WorldDay, WorldDayPage
from serving.api.times import day_of
from serving.api.trips import FirstDay, LastDay
from serving.problems import BadRequest
from serving.world_parts import WorldParts

TOTAL = "all"
_DAYS = """
select region, day, device_type, cohort, devices, records, engine_h, moving_h, distance_km,
    day || '/' || region as place
from marts.utilisation_day
where device_type = %(type)s and day between %(first)s and %(last)s and (day, region) > (%(after)s, %(region)s)
order by day, region limit %(limit)s
"""
_LONG_AGO = date(1970, 1, 1)
_UNAVAILABLE = 503


@get("/world/days", tags=["world"])
async def list_world_days(
    request: Request[Any, Any, Any],
    world: WorldParts,
    first: FirstDay,
    last: LastDay,
    device_type: Annotated[str, Parameter(max_length=20, description="A type of device, or `all`.")] = TOTAL,
    after: After = None,
    limit: Limit = 100,
) -> WorldDayPage:
    """Business days of each region as it released them: devices, hours and distance of cohorts of k or more."""
    if device_type not in (TOTAL, *DEVICE_TYPES):
        raise BadRequest(f"device_type: there are {', '.join((TOTAL, *DEVICE_TYPES))}")
    day, _, region = (after or "").partition("/")
    values = {
        "type": device_type,
        "first": day_of(first, "from"),
        "last": day_of(last, "to"),
        "after": day_of(day, "after") if after else _LONG_AGO,
        "region": region,
        "limit": limit + 1,
    }
    items, following = page_of(await world.postgres.rows(_DAYS, values), limit, WorldDay, "place")
    return WorldDayPage(items=items, next=following)


@get("/readyz", include_in_schema=False)
async def world_readyz(state: State) -> Response[dict[str, bool]]:
    """Whether requests should come here."""
    ready = not state.parts.draining.is_set()
    return Response({"ready": ready}, status_code=200 if ready else _UNAVAILABLE)
