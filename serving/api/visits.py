"""Visits as answers: of a device's span, and of the device days of a feed's page."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from serving.access.caller import Caller
from serving.api.models import Visit, Zone
from serving.parts import Parts
from serving.problems import TooMuch
from serving.zones.ring import Ring
from serving.zones.visits import MARGIN_M, Stay, stays

if TYPE_CHECKING:
    from lake.trail import Trail

MOST_WORK = 100_000_000
"""Positions times vertices that one answer compares."""
DeviceDayName = tuple[str, date]


async def visits_of_days(
    parts: Parts, caller: Caller, rows: Sequence[Mapping[str, Any]]
) -> dict[DeviceDayName, list[Visit]]:
    """Visits of device days, from the records of each day alone. rows: device_id, day, fleet_id.

    A day is one spot query, for the devices whose fleets have zones then. Raises TooMuch, StoreAway.
    """
    found: dict[DeviceDayName, list[Visit]] = {}
    for day in sorted({row["day"] for row in rows}):
        fleet_of = {row["device_id"]: row["fleet_id"] for row in rows if row["day"] == day}
        of_day = await _visits_of_day(parts, caller, day, fleet_of)
        found |= {(device, day): visits for device, visits in of_day.items()}
    return found


async def _visits_of_day(
    parts: Parts, caller: Caller, day: date, fleet_of: Mapping[str, str]
) -> Mapping[str, list[Visit]]:
    zone = parts.settings.row.zone
    start, end = (datetime.combine(one, time.min, zone) for one in (day, day + timedelta(days=1)))
    zones: dict[str, list[Zone]] = defaultdict(list)
    for one in await parts.zones.overlapping(caller, sorted(set(fleet_of.values())), None, start, end):
        zones[one["fleet_id"]].append(msgspec.convert(one, Zone))
    zones_of = {device: zones[fleet] for device, fleet in fleet_of.items() if zones[fleet]}
    if not zones_of:
        return {}
    records = await parts.trails.trail(sorted(zones_of), start, end, None, parts.own.trail_records)
    if records.next is not None:
        raise TooMuch(f"the page's days have more than {parts.own.trail_records:,} records; ask for less by `limit`")
    return await parts.trails.apart(lambda: visits_of(records, zones_of, end))


def visits_of(found: "Trail", zones_of: Mapping[str, Sequence[Zone]], until: datetime) -> dict[str, list[Visit]]:
    """Visits of each device by their beginning. until: up to when records were looked at. Raises TooMuch."""
    from lake.trail.formats import positions

    rows = {one.name: positions(one) for one in found.each_device()}
    visits: dict[str, list[Visit]] = {}
    work = 0
    for device, zones in zones_of.items():
        track = _Track(device, rows.get(device, []))
        own: list[Visit] = []
        for zone in zones:
            ring = Ring(zone.ring)
            work += ring.vertices * int(np.count_nonzero(ring.is_close(track.lat, track.lon, MARGIN_M)))
            if work > MOST_WORK:
                raise TooMuch("so many positions and zones are not compared at once; ask for less time, or one zone")
            own += track.visits(zone, ring, until)
        visits[device] = sorted(own, key=lambda one: (one.enter_ts, one.zone_id))
    return visits


class _Track:
    """Positions of a device in the order of time."""

    def __init__(self, device: str, rows: Sequence[Mapping[str, Any]]) -> None:
        self.device = device
        self.ts_ms = np.array([round(row["ts"].timestamp() * 1000) for row in rows], np.int64)
        self.lat, self.lon = (np.array([row[name] for row in rows], float) for name in ("lat", "lon"))

    def visits(self, zone: Zone, ring: Ring, until: datetime) -> list[Visit]:
        """Those of the time for which the zone held."""
        held = self.ts_ms >= round(zone.valid_from.timestamp() * 1000)
        if zone.valid_to is not None:
            held &= self.ts_ms < round(zone.valid_to.timestamp() * 1000)
        found = stays(self.ts_ms[held], self.lat[held], self.lon[held], ring)
        return [visit_of(zone, self.device, stay, until=until) for stay in found]


def visit_of(zone: Zone, device: str, stay: Stay, now_ms: int | None = None, until: datetime | None = None) -> Visit:
    """until: up to when records were looked at; a zone that ended by then ended the stay."""
    leave = None if stay.leave_ms is None else _moment(stay.leave_ms)
    if leave is None and until is not None and zone.valid_to is not None and zone.valid_to <= until:
        stay, leave = stay._replace(leave_ms=round(zone.valid_to.timestamp() * 1000)), zone.valid_to
    return Visit(
        zone_id=zone.zone_id,
        name=zone.name,
        device_id=device,
        enter_ts=_moment(stay.enter_ms),
        leave_ts=leave,
        dwell_s=stay.dwell_s(now_ms),
        began_before=stay.began_before,
    )


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
