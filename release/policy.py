"""What a day's cube may say: cells of enough contributors and holders, in which nobody's part can be computed, and no
withheld cell left to be computed.

Pure functions: no clock, no store. docs/reference/releases.md has each rule with its source.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from release.sensitivity import Unit, near_the_ceiling, reveals_a_part

ALL = "all"
"""The cell over all kinds of device."""

COUNT_STEP = 5
SIGNIFICANT_DIGITS = 3
_S_PER_H = 3600.0
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """One device's day, with the contributors that it says something about: its data subjects, or itself."""

    device: str
    device_type: str
    contributors: tuple[str, ...]
    records: int
    engine_s: float
    moving_s: float
    distance_km: float
    holders: tuple[str, ...] = ()
    """Who has it, and so knows what it did: its fleet, and last the customer whose fleet that is. Empty where whoever
    contributes has it."""


def tied_to_both(use: DeviceUse, other: DeviceUse | None) -> DeviceUse:
    """The same device with everybody that it is tied to in either: both know it."""
    if other is None:
        return use
    contributors = dict.fromkeys((*use.contributors, *other.contributors))
    return replace(use, contributors=tuple(contributors), holders=(*other.holders, *use.holders))


SUMS = ("records", "engine_s", "moving_s", "distance_km")
"""What a cell publishes sums of: the amounts of a Contribution and of a DeviceUse."""
_AT_MOST = ("engine_s", "moving_s")
"""Amounts of which everybody knows the most that a day allows."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one contributor adds to a cell. A device of several subjects counts in full for each of them."""

    records: int = 0
    engine_s: float = 0.0
    moving_s: float = 0.0
    distance_km: float = 0.0

    def plus(self, use: DeviceUse) -> "Contribution":
        """This and one more device."""
        return Contribution(
            self.records + use.records,
            self.engine_s + use.engine_s,
            self.moving_s + use.moving_s,
            self.distance_km + use.distance_km,
        )


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the cube before any rounding: each device once, each contributor's part, and who has its devices."""

    devices: Mapping[str, DeviceUse]
    total: Contribution
    contributors: Mapping[str, Contribution]
    owners: frozenset[str]
    """The last holder of each device, or its contributors where it has none."""
    units: frozenset[Unit]
    """The devices of each contributor and of each holder."""


@dataclass(frozen=True, slots=True)
class Policy:
    """cohort_size: contributors, and devices, that a cell needs. dominance_share: of a sum, the most that one may add.
    p_percent: within so much of its true value nobody's part may be computed. least_holders: who has the devices.

    Devices count too: six vans of two drivers each have twelve contributors and would still single out a small fleet.
    """

    cohort_size: int
    dominance_share: float
    p_percent: float = 10.0
    least_holders: int = 3

    def allows(self, cell: Cell) -> bool:
        """Whether the cell's values name nobody, to whoever contributes to it or holds a part of it."""
        return self._is_cohort(cell) and not any(self._tells(cell, name) for name in SUMS)

    def may_differ(self, changes: Sequence[DeviceUse], sums: Sequence[str] = SUMS) -> bool:
        """Whether somebody may know, of each of `sums`, what these changes add up to: changes of nobody, or of enough
        devices, contributors and holders, of which none can be computed. changes: amounts without their signs.
        """
        return all(self._hides_each(cell_of(use for use in changes if getattr(use, name)), name) for name in sums)

    def _is_cohort(self, cell: Cell) -> bool:
        enough = min(len(cell.devices), len(cell.contributors)) >= self.cohort_size
        return enough and len(cell.owners) >= self.least_holders

    def _hides_each(self, changed: Cell, name: str) -> bool:
        if not changed.devices:
            return True
        if not self._is_cohort(changed) or self._is_dominated(changed, name):
            return False
        return not reveals_a_part(changed.units, _amounts(changed, name), self.p_percent / 100)

    def _tells(self, cell: Cell, name: str) -> bool:
        """Whether the sum tells somebody's part. A sum of nothing tells everybody's."""
        total = getattr(cell.total, name)
        if total <= 0 or self._is_dominated(cell, name):
            return True
        amounts, share = _amounts(cell, name), self.p_percent / 100
        unit = _S_PER_H if name in _AT_MOST else 1.0
        if reveals_a_part(cell.units, amounts, share, rounding=unit * half_step(total / unit)):
            return True
        return name in _AT_MOST and near_the_ceiling(cell.units, amounts, share, _DAY_S)

    def _is_dominated(self, cell: Cell, name: str) -> bool:
        amounts = _amounts(cell, name)
        largest = max((sum(amounts[device] for device in unit) for unit in cell.units), default=0)
        total: float = getattr(cell.total, name)
        return largest > self.dominance_share * total


def cell_of(uses: Iterable[DeviceUse]) -> Cell:
    """The cell over these devices."""
    devices: dict[str, DeviceUse] = {}
    total = Contribution()
    parts: dict[str, Contribution] = {}
    units: dict[tuple[str, str], set[str]] = {}
    for use in uses:
        devices[use.device] = use
        total = total.plus(use)
        for contributor in use.contributors:
            parts[contributor] = parts.get(contributor, Contribution()).plus(use)
            units.setdefault(("contributor", contributor), set()).add(use.device)
        for holder in use.holders:
            units.setdefault(("holder", holder), set()).add(use.device)
    owners = frozenset(owner for use in devices.values() for owner in (use.holders[-1:] or use.contributors))
    return Cell(devices, total, parts, owners, frozenset(map(frozenset, units.values())))


def by_type(uses: Iterable[DeviceUse]) -> dict[str, list[DeviceUse]]:
    """The devices of each kind."""
    kinds: dict[str, list[DeviceUse]] = {}
    for use in uses:
        kinds.setdefault(use.device_type, []).append(use)
    return kinds


def residual_of(uses: Iterable[DeviceUse], published: frozenset[str]) -> Cell:
    """What the total less its published siblings says: the cell over all that was withheld."""
    return cell_of(use for use in uses if use.device_type not in published)


def _amounts(cell: Cell, name: str) -> dict[str, float]:
    return {device: float(getattr(use, name)) for device, use in cell.devices.items()}


def released(cell: Cell) -> dict[str, int | float]:
    """The cell as it leaves the region: counts to the nearest 5, sums to 3 significant digits."""
    return {
        "cohort": round_count(len(cell.contributors)),
        "devices": round_count(len(cell.devices)),
        "records": round_sum(cell.total.records),
        "engine_h": round_sum(cell.total.engine_s / _S_PER_H),
        "moving_h": round_sum(cell.total.moving_s / _S_PER_H),
        "distance_km": round_sum(cell.total.distance_km),
    }


def published_amount(values: Mapping[str, float], name: str) -> tuple[float, float]:
    """A published sum in the unit of DeviceUse, and by how much rounding may have moved it."""
    column, unit = (f"{name.removesuffix('_s')}_h", _S_PER_H) if name in _AT_MOST else (name, 1.0)
    return values[column] * unit, half_step(values[column]) * unit


def round_count(count: int) -> int:
    """To the nearest multiple of 5."""
    return (count + COUNT_STEP // 2) // COUNT_STEP * COUNT_STEP


def round_sum(value: float) -> float:
    """To 3 significant digits."""
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def half_step(value: float) -> float:
    """The most that rounding moves a sum of about this value."""
    exponent = int(f"{value:e}".partition("e")[2])
    return 0.5 * 10.0 ** (exponent - SIGNIFICANT_DIGITS + 1)
