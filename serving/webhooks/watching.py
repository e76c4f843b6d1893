"""Sees what there is to tell: devices that enter and leave zones, and days that were built or corrected."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid5

import numpy as np
import structlog

from serving.live.feed import Feed
from serving.live.table import LiveTable, Rows
from serving.problems import BadRequest
from serving.stores.records import Records
from serving.stores.webhooks import Event, Webhooks
from serving.webhooks.crossings import ENTERED, LEFT, Crossing, crossings
from serving.zones.ring import Ring

FEED_CHANGED = "feed.changed"
KINDS = (ENTERED, LEFT, FEED_CHANGED)
REACH_M = 5_000.0
"""A device is looked at whose newest position is so near to a zone: a beat may bring in more than one point."""
READ_EVERY_S = 5.0
FEED_EVERY_S = 10.0
_TRAILS_AT_ONCE = 500
_NAMES = UUID("6f1c0a5e-5d1f-4c58-9d5c-0c1b2a7f3e11")
"""Ids of events are names in this space: the same happening has the same id."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Zone:
    zone_id: UUID
    fleet: str
    name: str
    ring: Ring
    since_ms: int
    until_ms: int | None


class Watching:
    """The watch of one process over its region, which leads for as long as this object lives.

    Promises
    - Entering and leaving take turns for each device and zone, whoever led before.
    - A crossing is told with the moment of the device's record. What late records change, visits and the feed tell.
    """

    def __init__(self, feed: Feed, records: Records, webhooks: Webhooks) -> None:
        self._feed, self._records, self._webhooks = feed, records, webhooks
        self._zones: dict[str, list[_Zone]] = {}
        self._told: dict[tuple[UUID, str], Crossing] = {}
        self._inside: defaultdict[UUID, set[str]] = defaultdict(set)
        self._fleets_of_feed: list[str] = []
        self._version = 0
        self._table = feed.table
        self._rows: dict[str, Rows] = {}
        self._place = 0
        self._read_at_s = self._fed_at_s = float("-inf")

    async def begin(self) -> None:
        """Read what was told last."""
        for row in await self._webhooks.told():
            self._keep(row["zone_id"], row["device_id"], Crossing(row["kind"], _ms(row["happened_at"])))

    async def look(self) -> None:
        """Tell what is new. Raises StoreAway; what was not told then is told at the next look."""
        if time.monotonic() - self._read_at_s > READ_EVERY_S:
            await self._read()
            self._read_at_s = time.monotonic()
        if self._zones and self._feed.loads:
            await self._look_at_zones()
        if self._fleets_of_feed and time.monotonic() - self._fed_at_s > FEED_EVERY_S:
            await self._look_at_feed()
            self._fed_at_s = time.monotonic()

    async def _read(self) -> None:
        """Which fleets want what, and their zones. A zone that is new is looked at with all of its fleet's devices."""
        wanted = await self._webhooks.wanted()
        self._fleets_of_feed = sorted(fleet for fleet, kind in wanted if kind == FEED_CHANGED)
        since: dict[str, datetime] = {}
        for (fleet, kind), moment in wanted.items():
            if kind in (ENTERED, LEFT):
                since[fleet] = min(moment, since.get(fleet, moment))
        known = {zone.zone_id for zones in self._zones.values() for zone in zones}
        rows = await self._webhooks.zones(sorted(since)) if since else []
        self._zones = defaultdict(list)
        for row in rows:
            begin = max(_ms(row["valid_from"]), _ms(since[row["fleet_id"]]))
            until = None if row["valid_to"] is None else _ms(row["valid_to"])
            try:
                ring = Ring(row["ring"])
            except BadRequest:
                _log.error("serving.zone_unread", zone=str(row["zone_id"]))
                continue
            zone = _Zone(row["zone_id"], row["fleet_id"], row["name"], ring, begin, until)
            self._zones[zone.fleet].append(zone)
        if {row["zone_id"] for row in rows} - known:
            self._version = 0

    async def _look_at_zones(self) -> None:
        version, table = self._feed.version, self._feed.table
        if table is not self._table:
            # All of live state was loaded again: rows have other numbers, and whoever changed meanwhile is among them.
            self._table, self._rows, self._version = table, {}, 0
        looks: list[tuple[_Zone, str]] = []
        for fleet, zones in self._zones.items():
            rows = self._new_in(table, fleet)
            if not len(rows):
                continue
            ids = {table.ids[row] for row in rows.tolist()}
            for zone in zones:
                near = rows[zone.ring.is_close(table.lat[rows], table.lon[rows], REACH_M)]
                devices = {table.ids[row] for row in near.tolist()} | (self._inside[zone.zone_id] & ids)
                looks += [(zone, device) for device in devices]
        for first in range(0, len(looks), _TRAILS_AT_ONCE):
            await self._tell(looks[first : first + _TRAILS_AT_ONCE])
        self._version = version

    def _new_in(self, table: LiveTable, fleet: str) -> Rows:
        """Rows of the fleet that changed, and those that came into it: a device may be entered after it was heard."""
        rows = table.view((fleet,)).rows
        came = np.setdiff1d(rows, self._rows.get(fleet, rows[:0]))
        self._rows[fleet] = rows
        return np.union1d(table.since(rows, self._version), came)

    async def _tell(self, looks: Sequence[tuple[_Zone, str]]) -> None:
        devices = list(dict.fromkeys(device for _, device in looks))
        points = dict(zip(devices, await self._records.trails(devices), strict=True))
        found = [(zone, device, one) for zone, device in looks for one in self._of(zone, device, points[device])]
        if not found:
            return
        await self._webhooks.tell([_event(zone, device, one) for zone, device, one in found])
        for zone, device, one in found:
            self._keep(zone.zone_id, device, one)

    def _of(self, zone: _Zone, device: str, points: list[tuple[int, float, float]]) -> list[Crossing]:
        # A point from before the zone or the webhook held says where the device was when it began.
        begin = max((point[0] for point in points if point[0] < zone.since_ms), default=zone.since_ms)
        held = [one for one in points if one[0] >= begin and (zone.until_ms is None or one[0] < zone.until_ms)]
        return crossings(held, zone.ring, zone.since_ms, self._told.get((zone.zone_id, device)))

    def _keep(self, zone: UUID, device: str, crossing: Crossing) -> None:
        self._told[zone, device] = crossing
        (self._inside[zone].add if crossing.kind == ENTERED else self._inside[zone].discard)(device)

    async def _look_at_feed(self) -> None:
        place = await self._webhooks.feed_place()
        if place in (0, self._place):
            return
        now = datetime.now(UTC)
        await self._webhooks.tell(
            [
                Event(uuid5(_NAMES, f"{fleet}/{place}"), fleet, FEED_CHANGED, now, {"fleet_id": fleet})
                for fleet in self._fleets_of_feed
            ]
        )
        self._place = place


def _event(zone: _Zone, device: str, one: Crossing) -> Event:
    at = datetime.fromtimestamp(one.ts_ms / 1000, UTC)
    data = {"zone_id": zone.zone_id, "name": zone.name, "fleet_id": zone.fleet, "device_id": device, "ts": at}
    name = f"{zone.zone_id}/{device}/{one.kind}/{one.ts_ms}"
    return Event(uuid5(_NAMES, name), zone.fleet, one.kind, at, data, zone.zone_id, device)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
