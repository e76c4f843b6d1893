"""The records of a simulated fleet in order of arrival, and the run that sends them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from contracts.regions import Region
from contracts.registry import Register
from contracts.settings import RegionSettings
from devices.fleet.calendar import Calendar, make_calendar
from devices.fleet.day import Day, plan_day
from devices.fleet.mess import AHEAD, BEHIND, DUPLICATE, LATE, REJECTED, WEIGHTS, DeadZone, Mess, spoil, spoil_bytes
from devices.fleet.messages import Messages
from devices.fleet.noise import Moments, uniform
from devices.fleet.roster import Vehicle, make_roster
from devices.fleet.window import check
from devices.outgoing import Outgoing
from devices.send import Progress, Sent, Sink, iso_ms, send
from producer import Producer

SLICE_MS, BIG_FLEET_SLICE_MS = 4 * 3_600_000, 3_600_000
"""The time span generated at once: a longer one is faster, a shorter one needs less memory."""
BIG_FLEET = 1_000
_KINDS = (*WEIGHTS, "")


class _Item(NamedTuple):
    """One record to send; sorts by due time, then by vehicle, then by the vehicle's order."""

    due_ms: int
    vehicle: int
    made_ms: int
    again: int
    key: str
    payload: bytes


@dataclass(slots=True)
class Tally:
    """What was generated. mess: the number of records of each kind of error; a record may count in several."""

    records: int = 0
    first_ms: int | None = None
    last_ms: int | None = None
    mess: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*WEIGHTS, LATE, AHEAD, BEHIND), 0))

    def report(self) -> dict[str, Any]:
        """As `--json` prints it: what was sent, and what a consumer should make of it."""
        rejected = {reason: self.mess[kind] for kind, reason in REJECTED.items()}
        duplicates = self.mess[DUPLICATE]
        distinct = self.records - duplicates
        return {
            "distinct": distinct,
            "duplicates": duplicates,
            "mess": self.mess,
            "expect": {
                "history": distinct - sum(rejected.values()),
                "duplicates": duplicates,
                "rejected": rejected,
            },
            "first_ts": iso_ms(self.first_ms),
            "last_ts": iso_ms(self.last_ms),
        }


class Simulation:
    """The records of a window of time. Same region, seed, number of devices, window and mess: same bytes, same order.

    Another window of the same seed shows the same vehicles on the same roads: where two overlap, the records of both
    are the same, byte for byte.
    """

    def __init__(
        self, region: Region, *, devices: int, hours: float, seed: int, start: datetime, mess: Mess | None = None
    ) -> None:
        """start: with a zone. Raises Misuse for an impossible number or time."""
        check(devices, hours, seed, start)
        self.tally = Tally()
        self.roster = make_roster(region, devices, seed)
        self._region, self._mess = region, mess
        self._start_ms = int(start.timestamp() * 1000)
        self._end_ms = self._start_ms + round(hours * 3_600_000)
        first = start.astimezone(region.zone).date()
        self._last = (start + timedelta(hours=hours)).astimezone(region.zone).date()
        self._calendars = [make_calendar(vehicle, first, self._last) for vehicle in self.roster.vehicles]
        self._messages = [Messages(vehicle) for vehicle in self.roster.vehicles]
        self._plans: dict[int, list[_Planned]] = {}

    def outgoing(self) -> Iterator[Outgoing]:
        """All records in sending order, some hours at a time. Event times are in [start, end)."""
        waiting: list[_Item] = []
        slice_ms = SLICE_MS if len(self.roster.vehicles) <= BIG_FLEET else BIG_FLEET_SLICE_MS
        for begin in range(self._start_ms, self._end_ms, slice_ms):
            end = min(begin + slice_ms, self._end_ms)
            items = waiting
            for vehicle in self.roster.vehicles:
                for planned in self._days(vehicle, begin, end):
                    items.extend(self._records(vehicle, planned, begin, end))
            last = end == self._end_ms
            leaving = sorted(item for item in items if last or item.due_ms < end)
            waiting = [] if last else [item for item in items if item.due_ms >= end]
            yield _outgoing(leaving)

    def _days(self, vehicle: Vehicle, begin_ms: int, end_ms: int) -> "list[_Planned]":
        """The vehicle's days that overlap this span; earlier ones are dropped."""
        zone = self._region.zone
        first = datetime.fromtimestamp(begin_ms / 1000, zone).date()
        last = datetime.fromtimestamp((end_ms - 1) / 1000, zone).date()
        kept = [planned for planned in self._plans.get(vehicle.index, []) if planned.day.day >= first]
        day = kept[-1].day.day + timedelta(days=1) if kept else first
        while day <= last:
            kept.append(_plan(vehicle, self._calendars[vehicle.index], day, self._region, self._mess))
            day += timedelta(days=1)
        self._plans[vehicle.index] = kept
        return kept

    def _records(self, vehicle: Vehicle, planned: "_Planned", begin_ms: int, end_ms: int) -> Iterator[_Item]:
        reports = planned.day.reports_ms
        moments = reports[np.searchsorted(reports, begin_ms) : np.searchsorted(reports, end_ms)]
        if not len(moments):
            return
        messages = self._messages[vehicle.index]
        columns = messages.columns(planned.day, moments, planned.skew_ms)
        wrong = self._wrong(vehicle, moments)
        for row, kind in wrong.items():
            spoil(kind, row, int(moments[row]), columns)
        payloads = messages.encode(columns)
        due = _due(planned.dead_zone, moments, self._end_ms)
        self._count(moments, wrong, planned, due)
        again = _delay_ms(vehicle, moments) if wrong else []
        for row, (moment, leaves, payload) in enumerate(zip(moments.tolist(), due.tolist(), payloads, strict=True)):
            kind = wrong.get(row, "")
            sent = spoil_bytes(kind, moment, payload) if kind else payload
            yield _Item(leaves, vehicle.index, moment, 0, vehicle.device_id, sent)
            if kind == DUPLICATE:
                yield _Item(leaves + again[row], vehicle.index, moment, 1, vehicle.device_id, sent)

    def _wrong(self, vehicle: Vehicle, moments: Moments) -> dict[int, str]:
        """What goes wrong, by row."""
        if self._mess is None:
            return {}
        kinds = self._mess.kinds(vehicle, moments)
        return {row: _KINDS[kinds[row]] for row in np.flatnonzero(kinds < len(WEIGHTS)).tolist()}

    def _count(self, moments: Moments, wrong: dict[int, str], planned: "_Planned", due: Moments) -> None:
        tally = self.tally
        tally.records += len(moments)
        for kind in wrong.values():
            tally.mess[kind] += 1
            tally.records += kind == DUPLICATE
        tally.mess[LATE] += int(np.count_nonzero(due > moments))
        if planned.skew_ms:
            tally.mess[AHEAD if planned.skew_ms > 0 else BEHIND] += len(moments)
        first, last = int(moments[0]) + planned.skew_ms, int(moments[-1]) + planned.skew_ms
        tally.first_ms = first if tally.first_ms is None else min(first, tally.first_ms)
        tally.last_ms = last if tally.last_ms is None else max(last, tally.last_ms)


class _Planned(NamedTuple):
    day: Day
    skew_ms: int
    dead_zone: DeadZone | None


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """What a simulation sent."""

    region: str
    devices: int
    sent: Sent
    tally: Tally
    via: str = "stream"
    gateway: dict[str, Any] | None = None
    """What the gateway answered, where the records went through it."""

    def report(self) -> dict[str, Any]:
        """As `--json` prints it."""
        head = {"region": self.region, "devices": self.devices, "via": self.via}
        answered = {} if self.gateway is None else {"gateway": self.gateway}
        return {**head, **self.sent.report(), **answered, **self.tally.report()}


def simulate(
    simulation: Simulation,
    settings: RegionSettings,
    register: Register,
    *,
    rate: float | None,
    aggregated: bool = True,
    progress: Progress = lambda _: None,
) -> SimulationReport:
    """Register the fleets and put their records on the stream. rate: times real time; None is as fast as possible."""
    register_fleets(simulation, register)
    with Producer.open(settings, aggregated=aggregated) as producer:
        return send_simulated(simulation, settings.region, producer, rate=rate, progress=progress)


def register_fleets(simulation: Simulation, register: Register) -> None:
    """Enter the simulated fleets and their vehicles in the registry."""
    roster = simulation.roster
    register(roster.fleets, [vehicle.registered() for vehicle in roster.vehicles])


def send_simulated(
    simulation: Simulation,
    region: str,
    sink: Sink,
    *,
    rate: float | None,
    via: str = "stream",
    progress: Progress = lambda _: None,
) -> SimulationReport:
    """Send a simulation's records. via: what the sink speaks."""
    sent = send(simulation.outgoing(), sink, rate=rate, progress=progress)
    return SimulationReport(region, len(simulation.roster.vehicles), sent, simulation.tally, via)


def _plan(vehicle: Vehicle, calendar: Calendar, day: Any, region: Region, mess: Mess | None) -> _Planned:
    plan = plan_day(vehicle, calendar, day, region.zone)
    if mess is None:
        return _Planned(plan, 0, None)
    return _Planned(plan, mess.skew_ms(vehicle, plan), mess.dead_zone(vehicle, plan))


def _due(dead_zone: DeadZone | None, moments: Moments, end_ms: int) -> Moments:
    """When each record leaves: at its moment, or after the dead zone, the batch in its order within a second or so.

    What would leave after the window's end leaves at its end.
    """
    if dead_zone is None:
        return moments
    inside = (moments >= dead_zone.start_ms) & (moments < dead_zone.end_ms)
    leaves = dead_zone.delivered_ms + (moments - dead_zone.start_ms) // 1000
    # Where the window ends before the batch's time it leaves last, but never before its own moment.
    return np.where(inside, np.maximum(np.minimum(leaves, end_ms), moments), moments)


def _delay_ms(vehicle: Vehicle, moments: Moments) -> list[int]:
    """How long after the original a duplicate is sent: 1 s to 2 min."""
    delays: list[int] = (1_000 + uniform(vehicle.key, "again", moments) * 119_000).astype(np.int64).tolist()
    return delays


def _outgoing(items: list[_Item]) -> Outgoing:
    return Outgoing(
        [item.key for item in items],
        [item.payload for item in items],
        np.array([item.due_ms for item in items], np.int64),
    )
