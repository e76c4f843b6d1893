"""Which cells of a day's cube are published first: those that are allowed, and no withheld one left to be computed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from release.days import OtherDay
from release.policy import ALL, Cell, DeviceUse, Policy, by_type, cell_of, residual_of


@dataclass(frozen=True, slots=True)
class Pattern:
    """Which cells of a cube are published, and whether their total is."""

    published: frozenset[str]
    with_total: bool


def choose(uses: list[DeviceUse], policy: Policy, days: Sequence[OtherDay] = (), *, total: bool = True) -> Pattern:
    """The cells to publish, at a cube's first publication. total: whether the cube has one at all.

    Where the total is published, the withheld cells together must be allowed too, as whoever subtracts the published
    ones has their sum: the next smallest sibling is withheld until they are. What is published of other `days` may be
    subtracted as well.
    """
    cells = {kind: cell_of(of_kind) for kind, of_kind in by_type(uses).items()}

    def may_be_public(name: str, cell: Cell) -> bool:
        return policy.allows(cell) and all(day.apart(name, uses, policy) for day in days)

    published = {kind for kind, cell in cells.items() if may_be_public(kind, cell)}
    with_total = total and may_be_public(ALL, cell_of(uses))
    while published and not _covered(uses, cells, Pattern(frozenset(published), with_total), policy, days):
        published.remove(min(published, key=lambda kind: (len(cells[kind].contributors), kind)))
    alone = Pattern(frozenset(), with_total)
    if not published and with_total and not _covered(uses, cells, alone, policy, days):
        return Pattern(frozenset(), with_total=False)
    return Pattern(frozenset(published), with_total)


def _covered(
    uses: list[DeviceUse],
    cells: Mapping[str, Cell],
    pattern: Pattern,
    policy: Policy,
    days: Sequence[OtherDay],
) -> bool:
    public = pattern.published | ({ALL} if pattern.with_total else set())
    if not all(day.rests_apart(uses, public, policy) for day in days):
        return False
    withheld = cells.keys() - pattern.published
    if not withheld or not pattern.with_total:
        return True
    # Of one withheld kind the rest is its own cell; of all of them it is the total.
    return not pattern.published or (len(withheld) > 1 and policy.allows(residual_of(uses, pattern.published)))
