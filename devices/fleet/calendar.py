"""How far a vehicle drives on each day, known for all days at once: so the odometer only grows, in any window."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from devices.fleet.kinds import Route
from devices.fleet.noise import Floats, generator
from devices.fleet.roster import Vehicle

EPOCH = date(2000, 1, 1)
"""Odometers count from here, whatever the window: no record is older."""
SECOND = date(2020, 1, 1)
"""Where a second series of draws begins."""
FULL_PCT = 95.0
USABLE = 0.8


@dataclass(frozen=True, slots=True)
class Calendar:
    """One entry a day since `first`."""

    first: date
    day_km: Floats
    odometer_km: Floats
    """At the day's start."""
    since_refuel_km: Floats
    """Driven since the last refuelling, at the day's start; on a day of refuelling that is when it first drives."""
    left_over_km: Floats
    """The same, until that moment."""

    def place(self, day: date) -> int:
        """The day's entry."""
        return (day - self.first).days


def make_calendar(vehicle: Vehicle, first: date, last: date) -> Calendar:
    """The vehicle's days from `first` to `last`. Where two calendars overlap they agree."""
    days = (last - EPOCH).days + 1
    kind = vehicle.kind
    works, share = _drawn(vehicle, "works", days), _drawn(vehicle, "share", days)
    weekend = (np.arange(days) + EPOCH.weekday()) % 7 >= 5  # noqa: PLR2004
    at_work = works < np.where(weekend, kind.works_weekend, kind.works_weekday)
    km = np.where(at_work, _day_km(vehicle, share), 0.0)
    starts = np.concatenate([[0.0], np.cumsum(km)])[:-1]
    refuels = at_work & (np.cumsum(at_work) % _days_a_tank(vehicle) == 0)
    last_refuel = np.maximum.accumulate(np.where(refuels, np.arange(days), 0))
    before = np.concatenate([[0], last_refuel[:-1]])
    kept = slice((first - EPOCH).days, None)
    return Calendar(
        first=first,
        day_km=km[kept].copy(),
        odometer_km=vehicle.base_km + starts[kept],
        since_refuel_km=(starts - starts[last_refuel])[kept].copy(),
        left_over_km=(starts - starts[before])[kept].copy(),
    )


def _drawn(vehicle: Vehicle, salt: str, days: int) -> Floats:
    """A number in [0, 1) for each day since EPOCH; those from SECOND on are the same however long ago EPOCH is."""
    before = (SECOND - EPOCH).days
    parts = ((EPOCH.year, min(days, before)), (SECOND.year, max(0, days - before)))
    return np.concatenate([generator(vehicle.key, salt, year).random(count) for year, count in parts])


def _day_km(vehicle: Vehicle, share: Floats) -> Floats:
    kind = vehicle.kind
    low, high = kind.day_km
    if kind.route is Route.LINE:
        return np.full(len(share), vehicle.trips * vehicle.line_km)
    km = low + (high - low) * share
    if kind.route is Route.SITE:
        # Whole passes, the same even number in each of the day's blocks: each ends where it began.
        block_km = 2 * vehicle.line_km * vehicle.trips
        return np.maximum(1, np.round(km / block_km)) * block_km
    return km


def _days_a_tank(vehicle: Vehicle) -> int:
    kind = vehicle.kind
    longest_km = vehicle.trips * vehicle.line_km if kind.route is Route.LINE else kind.day_km[1] * 1.2
    return max(1, int(USABLE * kind.tank_l / (longest_km * kind.litres_per_100km / 100)))
