"""The feed: device days in the order in which they were built or corrected, behind a cursor.

An item is a whole device day with its trips and faults. Its name never changes, and a later item replaces it: a trip
that late data moved or joined to another is not left behind with a client under an id of its own.
"""

import re
from collections import defaultdict
from typing import Annotated, Any

import msgspec
from litestar import Request, get
from litestar.params import Parameter

from contracts.record import DEVICE_ID_PATTERN
from serving.api.asking import After, Limit, caller_of
from serving.api.days import columns_of
from serving.api.models import DeviceDay, FaultSeen, FeedItem, FeedPage, Trip
from serving.api.visits import visits_of_days
from serving.parts import Parts
from serving.problems import BadRequest
from serving.stores.trails import MOST_DEVICES

_CURSOR = re.compile(rf"(\d{{1,18}})(?:/({DEVICE_ID_PATTERN.strip('^$')}))?")
WithVisits = Annotated[
    bool, Parameter(description="With the visits of zones of each day; a page has at most 100 items then.")
]
_PLACE = "select ops.place_feed_days()"
_DAYS = f"""
select {columns_of(DeviceDay, "d.")}, r.fleet_id, f.place
from ops.feed_day f
join marts.device_day d on d.day = f.day
join registry.shown_device r on r.device_id = d.device_id
where f.place >= %(place)s and (f.place, d.device_id) > (%(place)s, %(device)s)
    and (%(all)s or r.fleet_id = any(%(fleets)s))
order by f.place, d.device_id limit %(limit)s
"""  # noqa: S608 - a constant
_OF_DAYS = "(device_id, day) in (select * from unnest(%(devices)s::text[], %(days)s::date[]))"
_TRIPS = f"select {columns_of(Trip)} from marts.trip where {_OF_DAYS} order by start_ts, trip_id"  # noqa: S608 - a constant
_FAULTS = f"""
select device_id, day, {columns_of(FaultSeen)} from staging.fault_day where {_OF_DAYS} order by code
"""  # noqa: S608 - a constant


@get("/feed", tags=["past"])
async def read_feed(
    request: Request[Any, Any, Any], parts: Parts, after: After = None, limit: Limit = 100, visits: WithVisits = False
) -> FeedPage:
    """Device days of the token's fleets with their trips and faults, as they are built and corrected. Is recorded.

    Without `after` it begins with the first day that there is. `next` is always there: ask again with it a minute
    later. An item replaces the one of the same device and day that came before.
    """
    if visits and limit > MOST_DEVICES:
        raise BadRequest(f"limit: a page with visits has at most {MOST_DEVICES} items")
    caller = caller_of(request)
    place, device = _place_of(after)
    await parts.postgres.do(_PLACE)
    values = {"place": place, "device": device, "all": caller.sees_all, "fleets": list(caller.fleets)}
    rows = await parts.postgres.rows(_DAYS, values | {"limit": limit + 1})
    shown = rows[:limit]
    if not shown:
        return FeedPage(items=[], next=after or "0", more=False)
    await parts.audit.note_all(caller, sorted({str(row["device_id"]) for row in shown}), "feed")
    named = {"devices": [row["device_id"] for row in shown], "days": [row["day"] for row in shown]}
    trips, faults = (
        _by_day(await parts.postgres.rows(_TRIPS, named)),
        _by_day(await parts.postgres.rows(_FAULTS, named)),
    )
    seen = await visits_of_days(parts, caller, shown) if visits else {}
    items = [
        FeedItem(
            device_id=row["device_id"],
            day=row["day"],
            fleet_id=row["fleet_id"],
            figures=msgspec.convert(row, DeviceDay),
            trips=msgspec.convert(trips[row["device_id"], row["day"]], list[Trip]),
            faults=msgspec.convert(faults[row["device_id"], row["day"]], list[FaultSeen]),
            visits=seen.get((row["device_id"], row["day"]), []) if visits else None,
        )
        for row in shown
    ]
    return FeedPage(items=items, next=f"{shown[-1]['place']}/{shown[-1]['device_id']}", more=len(rows) > limit)


def _place_of(after: str | None) -> tuple[int, str]:
    """The place of a cursor. Raises BadRequest."""
    if after is None:
        return 0, ""
    found = _CURSOR.fullmatch(after)
    if found is None:
        raise BadRequest("after: hand back `next` of the page before")
    return int(found[1]), found[2] or ""


def _by_day(rows: list[dict[str, Any]]) -> dict[tuple[Any, Any], list[dict[str, Any]]]:
    found: dict[tuple[Any, Any], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["device_id"], row["day"]].append(row)
    return found
