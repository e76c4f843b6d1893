"""What a day's cube may say: cells of enough contributors, none dominated, no withheld cell left to be computed.

Pure functions: no clock, no store.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

ALL = "all"
"""The cell over all kinds of device."""

COUNT_STEP = 5
SIGNIFICANT_DIGITS = 3
_S_PER_H = 3600.0


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


SUMS = ("records", "engine_s", "moving_s", "distance_km")
"""What a cell publishes sums of: the amounts of a Contribution and of a DeviceUse."""


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
    """One cell of the cube before any rounding: each device once, and each contributor's part."""

    devices: Mapping[str, DeviceUse]
    total: Contribution
    contributors: Mapping[str, Contribution]


@dataclass(frozen=True, slots=True)
class Policy:
    """cohort_size: contributors, and devices, that a cell needs. dominance_share: of a sum, the most that one may add.

    Devices count too: six vans of two drivers each have twelve contributors and would still single out a small fleet.
    """

    cohort_size: int
    dominance_share: float

    def allows(self, cell: Cell) -> bool:
        """Whether the cell's values name nobody."""
        return min(len(cell.devices), len(cell.contributors)) >= self.cohort_size and not self._dominated(cell)

    def _dominated(self, cell: Cell) -> bool:
        return any(self._has_giant(cell, name) for name in SUMS)

    def _has_giant(self, cell: Cell, name: str) -> bool:
        largest = max((getattr(part, name) for part in cell.contributors.values()), default=0)
        return largest > 0 and largest > self.dominance_share * getattr(cell.total, name)


@dataclass(frozen=True, slots=True)
class Pattern:
    """Which cells of a cube are published, and whether their total is."""

    published: frozenset[str]
    with_total: bool


def cell_of(uses: Iterable[DeviceUse]) -> Cell:
    """The cell over these devices."""
    devices: dict[str, DeviceUse] = {}
    total = Contribution()
    parts: dict[str, Contribution] = {}
    for use in uses:
        devices[use.device] = use
        total = total.plus(use)
        for contributor in use.contributors:
            parts[contributor] = parts.get(contributor, Contribution()).plus(use)
    return Cell(devices, total, parts)


def by_type(uses: Iterable[DeviceUse]) -> dict[str, list[DeviceUse]]:
    """The devices of each kind."""
    kinds: dict[str, list[DeviceUse]] = {}
    for use in uses:
        kinds.setdefault(use.device_type, []).append(use)
    return kinds


def residual_of(uses: Iterable[DeviceUse], published: frozenset[str]) -> Cell:
    """What the total less its published siblings says: the cell over all that was withheld."""
    return cell_of(use for use in uses if use.device_type not in published)


def choose(uses: list[DeviceUse], policy: Policy) -> Pattern:
    """The cells to publish, at a cube's first publication.

    Where the total is published, the withheld cells together must be allowed too, as whoever subtracts the published
    ones has their sum: the next smallest sibling is withheld until they are.
    """
    cells = {kind: cell_of(of_kind) for kind, of_kind in by_type(uses).items()}
    published = {kind for kind, cell in cells.items() if policy.allows(cell)}
    with_total = policy.allows(cell_of(uses))
    while with_total and published and not _covered(uses, cells, published, policy):
        published.remove(min(published, key=lambda kind: (len(cells[kind].contributors), kind)))
    return Pattern(frozenset(published), with_total)


def _covered(uses: list[DeviceUse], cells: Mapping[str, Cell], published: set[str], policy: Policy) -> bool:
    withheld = cells.keys() - published
    return not withheld or (len(withheld) > 1 and policy.allows(residual_of(uses, frozenset(published))))


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


def round_count(count: int) -> int:
    """To the nearest multiple of 5."""
    return (count + COUNT_STEP // 2) // COUNT_STEP * COUNT_STEP


def round_sum(value: float) -> float:
    """To 3 significant digits."""
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
