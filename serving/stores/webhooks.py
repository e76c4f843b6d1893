"""Webhooks of fleets, and what is to be delivered to them. What a caller asks is narrowed by the caller's fleets."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from serving.access.caller import Caller
from serving.problems import BadRequest, NotFound
from serving.stores.postgres import Postgres, Row

MOST_OF_FLEET = 20
"""Webhooks of a fleet that hold."""
KEPT_DAYS = 7
_COLUMNS = "webhook_id, fleet_id, url, kinds, generation, created_by, created_at, ended_at"
_OWN = "(%(all)s or fleet_id = any(%(fleets)s))"
_LIST = f"""
select {_COLUMNS} from registry.webhook where {_OWN} and (%(after)s::uuid is null or webhook_id > %(after)s::uuid)
order by webhook_id limit %(limit)s
"""  # noqa: S608 - a constant
_FLEET = f"""
select (select count(*) from registry.webhook w where w.fleet_id = f.fleet_id and ended_at is null) as webhooks
from registry.fleet f where fleet_id = %(fleet)s and {_OWN}
"""  # noqa: S608 - a constant
_PUT = f"""
insert into registry.webhook (fleet_id, url, kinds, created_by)
values (%(fleet)s, %(url)s, %(kinds)s, %(subject)s) returning {_COLUMNS}
"""  # noqa: S608 - a constant
_END = f"""
update registry.webhook set ended_at = coalesce(ended_at, now()), ended_by = coalesce(ended_by, %(subject)s)
where webhook_id = %(webhook)s and {_OWN} returning {_COLUMNS}
"""  # noqa: S608 - a constant
_TURN = f"""
update registry.webhook set generation = generation + 1, turned_at = now()
where webhook_id = %(webhook)s and {_OWN} and ended_at is null returning {_COLUMNS}
"""  # noqa: S608 - a constant
_DELIVERIES = """
select event_id, kind, happened_at, state, attempts, case when state = 'waiting' then next_at end as next_at, answer
from ops.delivery join ops.event using (event_id) join registry.webhook w using (webhook_id)
where webhook_id = %(webhook)s and (%(all)s or w.fleet_id = any(%(fleets)s))
order by happened_at desc, event_id limit %(limit)s
"""
_WANTED = """
select fleet_id, kind, min(created_at) as since from registry.webhook, unnest(kinds) kind
where ended_at is null group by fleet_id, kind
"""
_ZONES = """
select zone_id, fleet_id, name, ring, valid_from, valid_to from registry.zone
where fleet_id = any(%s) and (valid_to is null or valid_to > now() - interval '1 day')
"""
_TOLD = """
select distinct on (zone_id, device_id) zone_id, device_id, kind, happened_at from ops.event
where zone_id is not null order by zone_id, device_id, happened_at desc
"""
_TELL = """
with new as (
    insert into ops.event (event_id, fleet_id, kind, zone_id, device_id, happened_at, body)
    select * from unnest(%(event)s::uuid[], %(fleet)s::text[], %(kind)s::text[], %(zone)s::uuid[], %(device)s::text[],
        %(at)s::timestamptz[], %(body)s::text[])
    on conflict do nothing returning event_id, fleet_id, kind, happened_at
)
insert into ops.delivery (webhook_id, event_id)
select webhook_id, event_id from new join registry.webhook w using (fleet_id)
where ended_at is null and new.kind = any(w.kinds) and new.happened_at >= w.created_at
"""
_CLAIM = """
update ops.delivery d set attempts = d.attempts + 1,
    next_at = now() + make_interval(secs => (%(pauses)s::int[])[least(d.attempts + 1, cardinality(%(pauses)s::int[]))])
from (
    select webhook_id, event_id from ops.delivery join registry.webhook using (webhook_id)
    where state = 'waiting' and next_at <= now() and ended_at is null and webhook_id <> all(%(busy)s)
    order by next_at limit %(limit)s for update of delivery skip locked
) due, ops.event e, registry.webhook w
where d.webhook_id = due.webhook_id and d.event_id = due.event_id and e.event_id = d.event_id
    and w.webhook_id = d.webhook_id
returning d.webhook_id, d.event_id, d.attempts, w.url, w.generation, w.turned_at, e.body
"""
_SETTLE = """
update ops.delivery set state = %(state)s, answer = %(answer)s
where webhook_id = %(webhook)s and event_id = %(event)s and state = 'waiting'
"""
_GONE = """
update registry.webhook set ended_at = coalesce(ended_at, now()), ended_by = coalesce(ended_by, '410 Gone')
where webhook_id = %s
"""
_FORGET = f"delete from ops.event where made_at < now() - interval '{KEPT_DAYS} days'"  # noqa: S608 - a constant
_PLACE = "select coalesce(max(place), 0) as place from ops.feed_day"


class Event(NamedTuple):
    """What happened, as it is kept until it was told."""

    event_id: UUID
    fleet_id: str
    kind: str
    at: datetime
    data: dict[str, Any]
    zone_id: UUID | None = None
    device_id: str | None = None

    @property
    def body(self) -> str:
        """What is sent, as Standard Webhooks has it."""
        return msgspec.json.encode({"type": self.kind, "timestamp": self.at, "data": self.data}).decode()


class Webhooks:
    """The registry's webhooks and the deliveries to them."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def page(self, caller: Caller, after: UUID | None, limit: int) -> list[Row]:
        """Webhooks by id, those that ended too, one more than the page."""
        return await self._postgres.rows(_LIST, _narrowed(caller) | {"after": after, "limit": limit + 1})

    async def put(self, caller: Caller, fleet: str, url: str, kinds: Sequence[str]) -> Row:
        """A new webhook. Raises NotFound where the fleet is not the caller's, BadRequest where it has too many."""
        own = _narrowed(caller) | {"fleet": fleet}
        found = await self._postgres.rows(_FLEET, own)
        if not found:
            raise NotFound("no such fleet among the token's")
        if found[0]["webhooks"] >= MOST_OF_FLEET:
            raise BadRequest(f"the fleet has {MOST_OF_FLEET} webhooks; end some")
        values = {"url": url, "kinds": sorted(set(kinds)), "subject": caller.subject}
        return _only(await self._postgres.rows(_PUT, own | values))

    async def end(self, caller: Caller, webhook: UUID) -> Row:
        """End a webhook; one that ended stays as it is. Raises NotFound."""
        values = _narrowed(caller) | {"webhook": webhook, "subject": caller.subject}
        return _only(await self._postgres.rows(_END, values))

    async def turn(self, caller: Caller, webhook: UUID) -> Row:
        """Give it another secret. Raises NotFound, also for one that ended."""
        return _only(await self._postgres.rows(_TURN, _narrowed(caller) | {"webhook": webhook}))

    async def deliveries(self, caller: Caller, webhook: UUID, limit: int) -> list[Row]:
        """What was and is to be delivered to it, the newest first."""
        return await self._postgres.rows(_DELIVERIES, _narrowed(caller) | {"webhook": webhook, "limit": limit})

    async def wanted(self) -> dict[tuple[str, str], datetime]:
        """Since when something wants to be told of a fleet's kind of event, by both."""
        rows = await self._postgres.rows(_WANTED)
        return {(row["fleet_id"], row["kind"]): row["since"] for row in rows}

    async def zones(self, fleets: Sequence[str]) -> list[Row]:
        """The fleets' zones, without those that ended more than a day ago."""
        return await self._postgres.rows(_ZONES, (list(fleets),))

    async def told(self) -> list[Row]:
        """The crossing of each zone and device that was told last."""
        return await self._postgres.rows(_TOLD)

    async def tell(self, events: Sequence[Event]) -> None:
        """Keep these events for those who want them; one that is there already stays as it is."""
        values: dict[str, list[Any]] = {
            "event": [one.event_id for one in events],
            "fleet": [one.fleet_id for one in events],
            "kind": [one.kind for one in events],
            "zone": [one.zone_id for one in events],
            "device": [one.device_id for one in events],
            "at": [one.at for one in events],
            "body": [one.body for one in events],
        }
        await self._postgres.do(_TELL, values)

    async def claim(self, pauses_s: Sequence[int], busy: Sequence[UUID], limit: int) -> list[Row]:
        """Deliveries that are due, each counted as tried and put off by its pause before it is sent."""
        return await self._postgres.rows(_CLAIM, {"pauses": list(pauses_s), "busy": list(busy), "limit": limit})

    async def settle(self, webhook: UUID, event: UUID, state: str, answer: str) -> None:
        """How a try ended."""
        await self._postgres.do(_SETTLE, {"webhook": webhook, "event": event, "state": state, "answer": answer})

    async def gone(self, webhook: UUID) -> None:
        """The receiver says that it is gone for good."""
        await self._postgres.do(_GONE, (webhook,))

    async def forget(self) -> None:
        """Remove what is older than KEPT_DAYS."""
        await self._postgres.do(_FORGET)

    async def feed_place(self) -> int:
        """The place of the feed's newest day."""
        await self._postgres.do("select ops.place_feed_days()")
        return int((await self._postgres.rows(_PLACE))[0]["place"])


def _only(rows: list[Row]) -> Row:
    if not rows:
        raise NotFound("no such webhook among those of the token's fleets")
    return rows[0]


def _narrowed(caller: Caller) -> dict[str, Any]:
    return {"all": caller.sees_all, "fleets": list(caller.fleets)}
