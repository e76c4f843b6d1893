"""What was published about a day, and what may be published again. Pure functions.

The rule, and why no difference of what was published singles anyone out:
- The pattern of a cube (which cells are published, and whether their total) is that of its first publication. Until a
  cell of it is published there is nothing to subtract from, and it is chosen again.
- A cell is restated only where, against *every* published version of it and for each of its sums, the devices whose
  part changed, and the contributors of these devices, are nobody or at least the cohort size, and nobody who knows some
  of the changes can compute another's; and where the cell is still allowed by the policy, beside what is published of
  other days too. Else the published value stands.
- A device or contributor accounts for changes in one cell only: moving between cells would cancel out in their sum.
- The withheld cells together (`RESIDUAL`: the total less its siblings) are held to the same rule, though never
  published. The total is restated only where all that it is made of is, or did not change.
Each published value is then a sum of allowed cells, and each difference of values rests on a whole cohort.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from release.days import OtherDay
from release.marks import (
    Marker,
    Marks,
    changed,
    may_follow,
)
from release.pattern import choose
from release.policy import (
    ALL,
    Cell,
    DeviceUse,
    Policy,
    by_type,
    cell_of,
    released,
    residual_of,
)

RESIDUAL = "residual"
"""The cell over what a published total hides; remembered, never published."""


@dataclass(frozen=True, slots=True)
class Version:
    """One published version of a cell. `published` is None where the cell is withheld."""

    cell: str
    version: int
    marks: Marks
    published: Mapping[str, Any] | None
    frozen: bool = False
    """After an erasure: never restated."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a publication is judged by."""

    policy: Policy
    marks: Marker
    days: Sequence[OtherDay] = ()
    """Published days that this one may be subtracted from."""
    total: bool = True
    """Whether the cube has one."""


def next_versions(
    uses: list[DeviceUse],
    versions: Iterable[Version],
    policy: Policy,
    marks: Marker,
    days: Sequence[OtherDay] = (),
    *,
    total: bool = True,
) -> list[Version]:
    """What to record and publish now, given every version so far. Empty where everything published stands."""
    rules = Rules(policy, marks, days, total)
    recorded = sorted(versions, key=lambda one: one.version)
    first = min((one.version for one in recorded if one.published is not None), default=None)
    if first is None:
        return _first(uses, recorded, rules)
    history: dict[str, list[Version]] = {}
    for version in recorded:
        if version.version >= first:
            history.setdefault(version.cell, []).append(version)
    return _restated(uses, history, rules)


def in_force(versions: Iterable[Version]) -> dict[str, Mapping[str, Any]]:
    """The published values of each cell, newest version."""
    newest: dict[str, Version] = {}
    for version in versions:
        if version.cell not in newest or newest[version.cell].version < version.version:
            newest[version.cell] = version
    return {cell: version.published for cell, version in sorted(newest.items()) if version.published is not None}


def withheld(versions: Iterable[Version]) -> list[str]:
    """Cells that are known and not published."""
    recorded = list(versions)
    return sorted({one.cell for one in recorded} - in_force(recorded).keys() - {RESIDUAL})


def _first(uses: list[DeviceUse], recorded: list[Version], rules: Rules) -> list[Version]:
    """The first publication; `recorded` are earlier attempts, in which no cell was published."""
    number, marks = 1 + max((one.version for one in recorded), default=0), rules.marks
    pattern = choose(uses, rules.policy, rules.days, total=rules.total)
    cells = {kind: cell_of(of_kind) for kind, of_kind in by_type(uses).items()}
    versions = [_version(kind, number, cells[kind], marks, publish=kind in pattern.published) for kind in sorted(cells)]
    if rules.total:
        versions.append(_version(ALL, number, cell_of(uses), marks, publish=pattern.with_total))
    if pattern.with_total:
        versions.append(Version(RESIDUAL, number, marks(residual_of(uses, pattern.published)), None))
    if any(one.published is not None for one in versions):
        return versions
    known = {one.cell for one in recorded}
    return [one for one in versions if one.cell not in known]


def _version(name: str, number: int, cell: Cell, marks: Marker, *, publish: bool) -> Version:
    """A withheld cell keeps no marks: nothing will be compared with it."""
    return Version(name, number, marks(cell) if publish else frozenset(), released(cell) if publish else None)


def _restated(uses: list[DeviceUse], history: Mapping[str, list[Version]], rules: Rules) -> list[Version]:
    published = frozenset(name for name, versions in history.items() if name != ALL and versions[-1].published)
    kinds = by_type(uses)
    cells = {name: cell_of(kinds.get(name, [])) for name in published}
    if RESIDUAL in history:
        cells[RESIDUAL] = residual_of(uses, published)
    now = {name: rules.marks(cell) for name, cell in cells.items()}
    public = published | ({ALL} if RESIDUAL in history else set())
    if not all(day.rests_apart(uses, public, rules.policy) for day in rules.days):
        return []
    fit = {name for name in cells if _may_follow(uses, history[name], cells[name], now[name], rules)}
    fit -= _sharing_a_change(history, now, fit)
    stale = {name for name in cells if name not in fit and changed(history[name][-1].marks, now[name])}
    renewed = [
        _version(name, history[name][-1].version + 1, cells[name], rules.marks, publish=True)
        for name in sorted(fit - {RESIDUAL})
        if changed(history[name][-1].marks, now[name])
    ]
    if stale or RESIDUAL not in history:
        return renewed
    return renewed + _restated_total(uses, history, rules, now[RESIDUAL])


def _restated_total(
    uses: list[DeviceUse], history: Mapping[str, list[Version]], rules: Rules, residual: Marks
) -> list[Version]:
    total, versions = cell_of(uses), history[ALL]
    marks = rules.marks(total)
    if not changed(versions[-1].marks, marks) or not _may_follow(uses, versions, total, marks, rules):
        return []
    renewed = [_version(ALL, versions[-1].version + 1, total, rules.marks, publish=True)]
    if changed(history[RESIDUAL][-1].marks, residual):
        renewed.append(Version(RESIDUAL, history[RESIDUAL][-1].version + 1, residual, None))
    return renewed


def _may_follow(uses: list[DeviceUse], versions: list[Version], cell: Cell, now: Marks, rules: Rules) -> bool:
    """Whether the cell may be published after these versions of it, as far as the cell alone is concerned."""
    name = versions[0].cell
    if any(version.frozen for version in versions):
        return False
    empty_residual = name == RESIDUAL and not cell.contributors
    if not empty_residual and not rules.policy.allows(cell):
        return False
    if not all(day.apart(name, uses, rules.policy) for day in rules.days):
        return False
    return all(may_follow(rules.marks, version.marks, now, rules.policy) for version in versions)


def _sharing_a_change(history: Mapping[str, list[Version]], now: Mapping[str, Marks], fit: set[str]) -> set[str]:
    """The fit cells with a contributor whose part changed, now or in an earlier version, in another cell too."""
    moved = {
        name: frozenset().union(*(changed(version.marks, marks) for version in history[name]), _past(history[name]))
        for name, marks in now.items()
    }
    return {name for name in fit if any(moved[name] & moved[other] for other in moved if other != name)}


def _past(versions: list[Version]) -> frozenset[bytes]:
    return frozenset().union(*(changed(versions[0].marks, version.marks) for version in versions))
