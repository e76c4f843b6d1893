"""Zones of fleets, in the region's registry. Every question is narrowed by the caller's fleets."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from serving.access.caller import Caller
from serving.problems import BadRequest, NotFound
from serving.stores.postgres import Postgres, Row

MOST_OF_FLEET = 1_000
"""Zones of a fleet that hold or will hold."""
_COLUMNS = "zone_id, fleet_id, name, ring, valid_from, valid_to, created_by"
_OWN = "(%(all)s or fleet_id = any(%(fleets)s))"
_LIST = f"""
select {_COLUMNS} from registry.zone
where {_OWN} and (%(fleet)s::text is null or fleet_id = %(fleet)s)
    and (%(at)s::timestamptz is null or (valid_from <= %(at)s and (valid_to is null or valid_to > %(at)s)))
    and (%(ended)s or valid_to is null or valid_to > now())
    and (%(after)s::uuid is null or zone_id > %(after)s::uuid)
order by zone_id limit %(limit)s
"""  # noqa: S608 - a constant
_OVERLAPPING = f"""
select {_COLUMNS} from registry.zone
where {_OWN} and fleet_id = any(%(of)s) and (%(zone)s::uuid is null or zone_id = %(zone)s)
    and valid_from < %(end)s and (valid_to is null or valid_to > %(start)s)
order by zone_id
"""  # noqa: S608 - a constant
_ONE = f"select {_COLUMNS} from registry.zone where zone_id = %(zone)s and {_OWN}"  # noqa: S608 - a constant
_FLEET = f"""
select (select count(*) from registry.zone z where z.fleet_id = f.fleet_id and (valid_to is null or valid_to > now()))
    as zones
from registry.fleet f where fleet_id = %(fleet)s and {_OWN}
"""  # noqa: S608 - a constant
_PUT = f"""
with ended as (
    update registry.zone
    set valid_to = greatest(coalesce(%(valid_from)s, now()), now(), valid_from), ended_by = %(subject)s
    where zone_id = %(replaces)s::uuid and fleet_id = %(fleet)s and (valid_to is null or valid_to > now())
    returning zone_id
)
insert into registry.zone (fleet_id, name, ring, valid_from, valid_to, created_by)
select %(fleet)s, %(name)s, %(ring)s::jsonb, coalesce(%(valid_from)s, now()), %(valid_to)s::timestamptz, %(subject)s
where %(replaces)s::uuid is null or exists (select from ended)
returning {_COLUMNS}
"""  # noqa: S608 - a constant
_END = f"""
update registry.zone set valid_to = greatest(coalesce(%(at)s, now()), now(), valid_from), ended_by = %(subject)s
where zone_id = %(zone)s and {_OWN} and (valid_to is null or valid_to > now())
returning {_COLUMNS}
"""  # noqa: S608 - a constant


class Zones:
    """The registry's zones."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def page(
        self, caller: Caller, fleet: str | None, at: datetime | None, ended: bool, after: UUID | None, limit: int
    ) -> list[Row]:
        """Zones by id, one more than the page. ended: also those that have."""
        values = {"fleet": fleet, "at": at, "ended": ended, "after": after, "limit": limit + 1}
        return await self._postgres.rows(_LIST, _narrowed(caller) | values)

    async def one(self, caller: Caller, zone: UUID) -> Row:
        """A zone of the caller's fleets. Raises NotFound."""
        return _only(await self._postgres.rows(_ONE, _narrowed(caller) | {"zone": zone}))

    async def overlapping(
        self, caller: Caller, of: Sequence[str], zone: UUID | None, start: datetime, end: datetime
    ) -> list[Row]:
        """Zones of these fleets that hold within a span of time, or that one of them."""
        values = {"of": list(of), "zone": zone, "start": start, "end": end}
        return await self._postgres.rows(_OVERLAPPING, _narrowed(caller) | values)

    async def put(self, caller: Caller, zone: Mapping[str, Any]) -> Row:
        """A new zone, and the end of the one that it replaces: both or neither. zone: the fields of a NewZone.

        Raises NotFound where the fleet or the replaced zone is not the caller's, BadRequest where it has too many.
        """
        own = _narrowed(caller) | {"fleet": zone["fleet_id"]}
        found = await self._postgres.rows(_FLEET, own)
        if not found:
            raise NotFound("no such fleet among the token's")
        if found[0]["zones"] >= MOST_OF_FLEET and zone["replaces"] is None:
            raise BadRequest(f"the fleet has {MOST_OF_FLEET:,} zones; end some")
        values = own | dict(zone) | {"ring": msgspec.json.encode(zone["ring"]).decode(), "subject": caller.subject}
        return _only(await self._postgres.rows(_PUT, values))

    async def end(self, caller: Caller, zone: UUID, at: datetime | None) -> Row:
        """End a zone; one that has ended stays as it is. Raises NotFound."""
        values = _narrowed(caller) | {"zone": zone, "at": at, "subject": caller.subject}
        return _only(await self._postgres.rows(_END, values) or await self._postgres.rows(_ONE, values))


def _only(rows: list[Row]) -> Row:
    if not rows:
        raise NotFound("no such zone among those of the token's fleets")
    return rows[0]


def _narrowed(caller: Caller) -> dict[str, Any]:
    return {"all": caller.sees_all, "fleets": list(caller.fleets)}
