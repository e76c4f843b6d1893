"""World figures: what the regions released. Aggregates that name nobody, the same for every token of `world`."""

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.params import Parameter

from contracts.derived import DEVICE_TYPES
from serving.api.days import BY_DAY, Days, columns_of, listed
from serving.api.models import WorldDay, WorldDayPage
from serving.problems import BadRequest
from serving.world_parts import WorldParts

TOTAL = "all"
_DAYS = f"""
select {columns_of(WorldDay)}, day || '/' || region as place
from marts.utilisation_day
where device_type = %(type)s and cohort is not null and day between %(first)s and %(last)s
    and (day, region) > (%(after)s, %(region)s)
order by day, region limit %(limit)s
"""  # noqa: S608 - a constant
_UNAVAILABLE = 503


@get("/world/days", tags=["world"], dependencies=BY_DAY)
async def list_world_days(
    request: Request[Any, Any, Any],
    world: WorldParts,
    days: Days,
    device_type: Annotated[str, Parameter(max_length=20, description="A type of device, or `all`.")] = TOTAL,
) -> Response[WorldDayPage]:
    """Business days of each region as it released them: devices, hours and distance of cohorts of k or more."""
    if device_type not in (TOTAL, *DEVICE_TYPES):
        raise BadRequest(f"device_type: there are {', '.join((TOTAL, *DEVICE_TYPES))}")
    after, region = days.after_day()
    values = {**days.values(), "type": device_type, "after": after, "region": region}
    rows = await world.postgres.rows(_DAYS, values)
    return await listed(request, days, rows, WorldDayPage, "place", f"world-{device_type}-days")


@get("/readyz", include_in_schema=False)
async def world_readyz(state: State) -> Response[dict[str, bool]]:
    """Whether requests should come here."""
    ready = not state.parts.draining.is_set()
    return Response({"ready": ready}, status_code=200 if ready else _UNAVAILABLE)
