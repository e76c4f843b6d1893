"""What may be published of a day beside what is published of others: nobody learns a part by subtracting days.

Whoever takes a device's routine for granted has, of two days, what changed. So the difference of two days is held to
the rules of a cell: enough devices, contributors and holders changed, and by enough. Pure functions.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

from release.policy import ALL, SUMS, DeviceUse, Policy, published_amount, tied_to_both

COMPARED = ("engine_s", "moving_s", "distance_km")
"""Not records: a device sends as many as its interval makes it, every day."""
_UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True)
class OtherDay:
    """Another day of the same release: its devices, as the marts have them now, and what is published of it."""

    uses: Sequence[DeviceUse]
    values: Mapping[str, Mapping[str, float]]
    """By kind, and ALL where the total is."""

    @property
    def published(self) -> frozenset[str]:
        """Kinds, and ALL."""
        return frozenset(self.values)

    def apart(self, name: str, uses: Sequence[DeviceUse], policy: Policy) -> bool:
        """Whether the cell may be known of both days. uses: all of the other one.

        A device that is of another kind by then would cancel out in the sum of both kinds: neither may be known.
        """
        if name not in self.published:
            return True
        if name != ALL and _changed_kind(name, uses, self.uses):
            return False
        ours, theirs = ([use for use in day if name in (ALL, use.device_type)] for day in (uses, self.uses))
        return self._may_be_subtracted(ours, theirs, uses, policy, self._unexplained({name: 1}, theirs))

    def rests_apart(self, uses: Sequence[DeviceUse], published: Iterable[str], policy: Policy) -> bool:
        """The same of what the totals hide: a total less its kinds, less kinds that the other day has published.

        published: of `uses`, kinds and ALL where the total is.
        """
        ours = frozenset(published)
        if ALL not in ours | self.published:
            return True
        kinds = {use.device_type for use in chain(uses, self.uses)}
        return all(self._rest_apart(uses, here, there, policy) for here, there in _rests(kinds, ours, self.published))

    def _rest_apart(
        self, uses: Sequence[DeviceUse], here: frozenset[str], there: frozenset[str], policy: Policy
    ) -> bool:
        if there <= self.published:
            cells = dict.fromkeys(there, 1)
        else:
            cells = {ALL: 1} | dict.fromkeys(self.published - there - {ALL}, -1)
        theirs = _of(self.uses, there)
        return self._may_be_subtracted(_of(uses, here), theirs, uses, policy, self._unexplained(cells, theirs))

    def _unexplained(self, cells: Mapping[str, int], uses: Sequence[DeviceUse]) -> dict[str, float]:
        """What published cells, each with its sign, add up to beyond these devices and rounding: the part of somebody
        who was erased since, or late data of too few to be published.
        """
        gaps = {}
        for name in COMPARED:
            parts = [(sign, *published_amount(self.values[cell], name)) for cell, sign in cells.items()]
            gap = abs(sum(sign * value for sign, value, _ in parts) - sum(getattr(use, name) for use in uses))
            gaps[name] = gap if gap > sum(rounding for *_, rounding in parts) * (1 + 1e-9) else 0.0
        return gaps

    def _may_be_subtracted(
        self,
        ours: Sequence[DeviceUse],
        theirs: Sequence[DeviceUse],
        uses: Sequence[DeviceUse],
        policy: Policy,
        unexplained: Mapping[str, float],
    ) -> bool:
        """Whether the sums over `ours` less those over `theirs` tell nobody's part: devices tied as on the one day, as
        on the other, or to everybody of both.

        uses: all of the other one. unexplained: what is in the difference besides; it hides nobody, and is not to be
        told either.
        """
        here, there = ({use.device: use for use in side} for side in (ours, theirs))
        pairs = [(here.get(name), there.get(name)) for name in here.keys() | there.keys()]
        changes = [[_change(use, beside) for use, beside in pairs], [_change(beside, use) for use, beside in pairs]]
        days = [{use.device: use for use in day} for day in (uses, self.uses)]
        changes.append([_tied_to_all(use, [day.get(use.device) for day in days]) for use in changes[0]])
        if any(unexplained.values()):
            engine_s, moving_s, distance_km = (unexplained.get(name, 0.0) for name in COMPARED)
            more = DeviceUse(_UNEXPLAINED, "", (_UNEXPLAINED,), 0, engine_s, moving_s, distance_km)
            changes += [[*some, more] for some in changes]
        return all(policy.may_differ(some, COMPARED) for some in changes)


def _rests(
    kinds: set[str], ours: frozenset[str], theirs: frozenset[str]
) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    """Kinds of either day whose sums somebody can subtract from each other, with a total's rest on one side or on both.

    What both days have published is left out: its difference is judged alone, and two that hide each hide together.
    """
    hidden_here, hidden_there = (frozenset(kinds - public) if ALL in public else None for public in (ours, theirs))
    only_here, only_there = (kinds & ours) - theirs, (kinds & theirs) - ours
    if hidden_there is not None:
        yield from ((some, hidden_there) for some in _subsets(only_here) if some)
    if hidden_here is not None:
        yield from ((hidden_here, some) for some in _subsets(only_there) if some)
    if hidden_here is not None and hidden_there is not None:
        for here in _subsets(only_here):
            yield from ((hidden_here | here, hidden_there | there) for there in _subsets(only_there))


def _subsets(kinds: set[str]) -> Iterator[frozenset[str]]:
    ordered = sorted(kinds)
    return (frozenset(some) for size in range(len(ordered) + 1) for some in combinations(ordered, size))


def _of(uses: Iterable[DeviceUse], kinds: frozenset[str]) -> list[DeviceUse]:
    return [use for use in uses if use.device_type in kinds]


def _changed_kind(name: str, one: Iterable[DeviceUse], other: Iterable[DeviceUse]) -> bool:
    kinds = {use.device: use.device_type for use in other}
    return any(kinds.get(use.device, use.device_type) != use.device_type for use in one if _either(name, use, kinds))


def _either(name: str, use: DeviceUse, kinds: dict[str, str]) -> bool:
    return name in (use.device_type, kinds.get(use.device))


def _tied_to_all(use: DeviceUse, others: Iterable[DeviceUse | None]) -> DeviceUse:
    for other in others:
        use = tied_to_both(use, other)
    return use


def _change(one: DeviceUse | None, other: DeviceUse | None) -> DeviceUse:
    """By how much a device's amounts differ; its kind, contributors and holders are those of `one`, if it is there."""
    tied = one or other
    if tied is None:
        raise ValueError("a device that is on neither side has no change")
    amounts = {name: abs((getattr(one, name) if one else 0) - (getattr(other, name) if other else 0)) for name in SUMS}
    return DeviceUse(tied.device, tied.device_type, tied.contributors, holders=tied.holders, **amounts)
