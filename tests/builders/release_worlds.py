"""Random worlds of devices, drivers and companies, what is released of them, and whoever tries to learn a part of it.

Nothing here uses the policy's own arithmetic: `learnt` is what somebody computes who has every published version of
every day, knows exactly what the own devices did, and knows which devices there are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from itertools import combinations

import numpy as np

from release.days import OtherDay
from release.marks import marker
from release.policy import ALL, SUMS, DeviceUse, Policy, by_type, cell_of, released
from release.versions import Version, in_force, next_versions

KINDS = ("car", "van", "truck", "bus")
DAY = date(2026, 3, 2)
WITHIN = 0.10
_PUBLISHED_AS = {"records": ("records", 1), "engine_s": ("engine_h", 3600), "moving_s": ("moving_h", 3600)}
_DAY_S = 86_400.0
_BY_DAY = ("engine_s", "moving_s", "distance_km")

Uses = list[DeviceUse]
Shown = dict[str, tuple[Mapping[str, float], Uses]]
"""By cell: the published values, and the devices that they were made of."""


@dataclass(frozen=True)
class World:
    """By day, the devices at its first publication and, late data being in it, at each later one."""

    days: list[list[Uses]]


def random_world(seed: int) -> World:
    """Companies of very different sizes, and private persons; amounts of very different sizes; few or many late."""
    rng = np.random.default_rng(seed)
    roster = [_device(rng, place, companies=int(rng.integers(2, 9))) for place in range(int(rng.integers(24, 70)))]
    spread, routine = rng.uniform(0.1, 1.6), rng.random() < 0.3
    usual = {use.device: _amounts(rng, use, spread) for use in roster}
    absent = {use.device: int(rng.integers(0, 2)) for use in roster if rng.random() < 0.08}
    days = []
    for number in range(2):
        whole = []
        for use in roster:
            joins_or_leaves = use.device in absent and absent[use.device] == number
            if not joins_or_leaves:
                whole.append(usual[use.device] if routine and rng.random() < 0.9 else _amounts(rng, use, spread))
        days.append(_as_it_arrives(rng, whole))
    return World(days)


def _device(rng: np.random.Generator, place: int, companies: int) -> DeviceUse:
    name, kind = f"d:{place}", KINDS[min(int(rng.geometric(0.45)) - 1, len(KINDS) - 1)]
    company = min(int(rng.geometric(0.35)), companies)
    private = rng.random() < 0.25
    holders = (f"f:{place}",) * 2 if private else (f"f:{company}-{int(rng.integers(2))}", f"c:{company}")
    drivers = {f"s:{int(rng.integers(place + 1))}" for _ in range(int(rng.integers(0, 3)))}
    return DeviceUse(name, kind, tuple(sorted(drivers)) or (name,), 0, 0.0, 0.0, 0.0, holders)


def _amounts(rng: np.random.Generator, use: DeviceUse, spread: float) -> DeviceUse:
    size = float(np.exp(rng.normal(0, spread))) * (30.0 if rng.random() < 0.03 else 1.0)
    engine = float(min(_DAY_S, 3 * 3600 * size * rng.uniform(0.8, 1.2)))
    km = 0.0 if rng.random() < 0.05 else round(60 * size * rng.uniform(0.7, 1.3), 3)
    moving = round(engine * rng.uniform(0.4, 1.0), 1)
    records = int(1 + 300 * size * rng.uniform(0.5, 1.5))
    return replace(use, records=records, engine_s=round(engine, 1), moving_s=moving, distance_km=km)


def _as_it_arrives(rng: np.random.Generator, whole: Uses) -> list[Uses]:
    """What is known at three publications: some devices' day is late, in part or whole."""
    late = {use.device for use in whole if rng.random() < rng.choice([0.03, 0.5])}
    shares = {name: float(rng.choice([0.0, 0.5, 0.9])) for name in late}
    arrived = {name: int(rng.integers(1, 3)) for name in late}
    return [
        [
            part
            for use in whole
            if (part := _part(use, 1.0 if arrived.get(use.device, 0) <= turn else shares[use.device])) is not None
        ]
        for turn in range(3)
    ]


def _part(use: DeviceUse, share: float) -> DeviceUse | None:
    if share == 0.0:
        return None
    return replace(
        use,
        records=max(1, round(use.records * share)),
        engine_s=use.engine_s * share,
        moving_s=use.moving_s * share,
        distance_km=use.distance_km * share,
    )


def under_policy(world: World, policy: Policy) -> list[list[Shown]]:
    """What the project publishes: by day and publication, what everybody has read by then."""
    shown: list[list[Shown]] = []
    other: list[tuple[Uses, Mapping[str, Mapping[str, float]]]] = []
    for number, publications in enumerate(world.days):
        day = DAY + timedelta(days=number)
        marks, versions = marker(b"key of the region", "utilisation_day", day), list[Version]()
        read, steps = Shown(), []
        for uses in publications:
            beside = [OtherDay(*one) for one in other]
            new = next_versions(uses, versions, policy, marks, beside)
            versions += new
            read = read | {
                one.cell: (one.published, _content(one.cell, uses)) for one in new if one.published is not None
            }
            steps.append(read)
        shown.append(steps)
        other.append((publications[-1], in_force(versions)))
    return shown


def under_plain_k(world: World, k: int) -> list[list[Shown]]:
    """The peer: every cell of k contributors and more, published again whenever it changed."""
    return [[_plain(uses, k) for uses in publications] for publications in world.days]


def _plain(uses: Uses, k: int) -> Shown:
    cells = {**by_type(uses), ALL: uses}
    return {
        name: (released(cell_of(some)), some) for name, some in cells.items() if len(cell_of(some).contributors) >= k
    }


def _content(name: str, uses: Uses) -> Uses:
    return [use for use in uses if name in (ALL, use.device_type)]


def kept(shown: Sequence[Sequence[Shown]]) -> int:
    """Cells that can be read in the end."""
    return sum(len(steps[-1]) for steps in shown)


@dataclass(frozen=True)
class Fact:
    """A sum that somebody has computed from what is published: of one cell, or of several with their signs."""

    devices: dict[str, tuple[set[str], dict[str, float]]]
    """Whose each is, and what it adds; what stands on both sides alike adds nothing."""
    values: Sequence[tuple[Mapping[str, float], int]]
    sums: Sequence[str]

    @classmethod
    def of(cls, cells: Sequence[tuple[tuple[Mapping[str, float], Uses], int]], sums: Sequence[str] = SUMS) -> "Fact":
        """The sum of these cells, each with its sign."""
        devices: dict[str, tuple[set[str], dict[str, float]]] = {}
        for (_, uses), sign in cells:
            for use in uses:
                whose, adds = devices.setdefault(use.device, (set(), dict.fromkeys(SUMS, 0.0)))
                whose.update(use.contributors, use.holders)
                for name in sums:
                    adds[name] += sign * getattr(use, name)
        return cls(devices, [(values, sign) for (values, _), sign in cells], sums)

    @cached_property
    def names(self) -> list[str]:
        """Who contributes to it or holds a part of it."""
        return sorted({name for whose, _ in self.devices.values() for name in whose})

    @cached_property
    def units(self) -> np.ndarray:
        """Of each of `names`, which devices are theirs."""
        places = {name: place for place, name in enumerate(self.names)}
        found = np.zeros((len(places), len(self.devices)))
        for column, (whose, _) in enumerate(self.devices.values()):
            found[[places[name] for name in whose], column] = 1
        return found

    def value(self, name: str) -> float:
        """The sum as it is computed from rounded values."""
        column, unit = _PUBLISHED_AS.get(name, (name, 1))
        return sum(sign * values[column] for values, sign in self.values) * unit


def learnt(shown: Sequence[Sequence[Shown]]) -> set[tuple[str, str]]:
    """Whose amount of which sum somebody computes within WITHIN of the truth: (contributor or holder, sum)."""
    return {(name, amount) for fact in _facts(shown) for amount in fact.sums for name in _learnt_from(fact, amount)}


def _facts(shown: Sequence[Sequence[Shown]]) -> Iterator[Fact]:
    """One cell, a total less its kinds, two versions of a cell, a cell on two days, and the rests of two totals."""
    for steps in shown:
        distinct = [step for place, step in enumerate(steps) if place == 0 or step != steps[place - 1]]
        for step in distinct:
            yield from (Fact.of([(cell, 1)]) for cell in step.values())
            if ALL in step and len(step) > 1:
                yield Fact.of([(step[ALL], 1), *((cell, -1) for name, cell in step.items() if name != ALL)])
        for one, other in combinations(distinct, 2):
            yield from _differences(one, other, SUMS)
    for one, other in combinations([steps[-1] for steps in shown], 2):
        yield from _differences(one, other, _BY_DAY)
        yield from _across(one, other)


def _differences(one: Shown, other: Shown, sums: Sequence[str]) -> Iterator[Fact]:
    both = sorted(name for name in one.keys() & other.keys() if one[name] != other[name])
    yield from (Fact.of([(other[name], 1), (one[name], -1)], sums) for name in both)
    kinds = sorted((one.keys() & other.keys()) - {ALL})
    if ALL in one and ALL in other and kinds:
        totals = [(other[ALL], 1), (one[ALL], -1)]
        yield Fact.of(totals + [part for name in kinds for part in ((other[name], -1), (one[name], 1))], sums)


def _across(one: Shown, other: Shown) -> Iterator[Fact]:
    """The rests of two days' totals, or of one of them, less any kinds that the other day alone has published."""
    for used in ((True, False), (False, True), (True, True)):
        days = [(day, sign) for day, sign, wanted in zip((one, other), (1, -1), used, strict=True) if wanted]
        if not all(ALL in day for day, _ in days):
            continue
        rests = [(cell, sign if name == ALL else -sign) for day, sign in days for name, cell in day.items()]
        taken = [(other[name], -1) for name in _only(other, one) if used[0]]
        taken += [(one[name], 1) for name in _only(one, other) if used[1]]
        for size in range(len(taken) + 1):
            yield from (Fact.of([*rests, *some], _BY_DAY) for some in combinations(taken, size))


def _only(one: Shown, other: Shown) -> list[str]:
    return sorted(one.keys() - other.keys() - {ALL})


def _learnt_from(fact: Fact, amount: str) -> set[str]:
    """Who is learnt: for each pair of one who looks and one who is looked for, what the first computes of the other.

    A sum of one cell is taken as it is published. What is computed of several counts where it is right, and not by
    luck: all others together add, or have changed by, less than it may be off.
    """
    parts = np.array([adds[amount] for _, adds in fact.devices.values()])
    if not np.abs(parts).max(initial=0.0) > 1e-6:
        return set(fact.devices) if len(fact.values) == 1 else set()
    units = fact.units
    lookers = np.vstack([units, np.zeros(len(parts))])

    def beyond(amounts: np.ndarray) -> np.ndarray:
        return units @ amounts - (lookers * amounts) @ units.T

    def others(amounts: np.ndarray) -> np.ndarray:
        return amounts.sum() - (lookers @ amounts)[:, None] - beyond(amounts)

    asked = beyond(parts)
    near = WITHIN * np.abs(asked) - 1e-6
    error = fact.value(amount) - (lookers @ parts)[:, None] - asked
    found = np.abs(error) < near
    if len(fact.values) > 1:
        found &= others(np.abs(parts)) < near
    elif amount in ("engine_s", "moving_s"):
        found |= (others(_DAY_S - parts) < near) & (beyond(np.full(len(parts), _DAY_S)) - asked < near)
    return {fact.names[place] for place in np.flatnonzero((found & (near > 0)).any(axis=0))}
