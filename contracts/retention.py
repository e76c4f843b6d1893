"""How long a region keeps what devices sent: the policy of region, fleet and device, less legal holds, by day.

GDPR Art. 5(1)(e): kept no longer than the purpose needs. The shortest way to say it is the day before which nothing may
be there. This is that arithmetic, and what is asked of each store.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Protocol

import msgspec


class FleetPeriod(msgspec.Struct, frozen=True):
    """A device's time in one fleet, in business days: `first` included, `until` not; None has no end on that side."""

    first: date | None
    until: date | None
    days: int | None
    """Days that the fleet keeps its devices' data; None where it says nothing."""


class DeviceRule(msgspec.Struct, frozen=True):
    """A device for which something else than the region's rule may hold."""

    device_id: str
    days: int | None
    """Days that the device itself says; they stand over those of its fleets."""
    held: bool
    """Whether a legal hold is on it, or on a fleet of its."""
    periods: Sequence[FleetPeriod]


class Span(msgspec.Struct, frozen=True, order=True):
    """Business days of a device that are past their time: `first` (None: all before) to the day before `before`."""

    device_id: str
    first: date | None
    before: date


class Expiry(msgspec.Struct, frozen=True):
    """What may not be there any more on `today`.

    Of a device in `exempt` only `spans` are past their time; of any other all days before `before` are, and `spans`.
    """

    today: date
    before: date
    exempt: frozenset[str]
    """Devices that the region's own rule does not reach: held, or kept for longer."""
    held: frozenset[str]
    spans: tuple[Span, ...]

    def since(self, today: date) -> timedelta:
        """How long ago `today` was: a check asks for what was past its time a day ago."""
        return max(today - self.today, timedelta(0))

    @property
    def horizon(self) -> date:
        """No row of this day or a later one is past its time."""
        return max([self.before, *(span.before for span in self.spans)])


def expiry(region_days: int, rules: Iterable[DeviceRule], today: date) -> Expiry:
    """What is past its time on business day `today`: days before `today` less the days that they are kept.

    region_days: of the region table. Of a device's own, its fleet's and the region's number the first that there is
    counts; a fleet's for the days on which the device belonged to it.
    """
    exempt, held, spans = set(), set(), []
    for rule in rules:
        if rule.held:
            held.add(rule.device_id)
            continue
        kept = [rule.days or period.days or region_days for period in rule.periods]
        longer = any(days > region_days for days in kept)
        if longer:
            exempt.add(rule.device_id)
        for period, days in zip(rule.periods, kept, strict=True):
            if longer or days < region_days:
                spans += _past(rule.device_id, period, today - timedelta(days=days))
    before = today - timedelta(days=region_days)
    return Expiry(today, before, frozenset(exempt | held), frozenset(held), tuple(sorted(spans, key=_place)))


def _past(device_id: str, period: FleetPeriod, before: date) -> list[Span]:
    end = before if period.until is None else min(before, period.until)
    return [Span(device_id, period.first, end)] if period.first is None or period.first < end else []


def _place(span: Span) -> tuple[str, date]:
    return span.device_id, span.first or date.min


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One table, or kind of object, of a store against the policy."""

    rows: int
    """What there is: rows, objects or keys."""
    overdue: int
    """Those that are past their time."""
    waiting: int = 0
    """Those of them that a run cannot remove yet, such as what no reconciliation has proven."""
    oldest: date | None = None
    """The oldest day that there is, exempt devices included; None where it is not known, or nothing is there."""


Standings = Mapping[str, Standing]
"""By the name of a table, or of a kind of object."""


class Retained(Protocol):
    """A store that retention removes from.

    Promises
    - `look` changes nothing. `overdue - waiting` is what `remove` takes out if nothing changes meanwhile.
    - `remove` may be killed, repeated, and run beside readers and writers; the end is the same.
    - Nothing that either raises, logs or returns names a device or a person.
    """

    name: str

    def look(self, due: Expiry) -> Standings:
        """What is past its time."""
        ...

    def remove(self, due: Expiry) -> Mapping[str, int]:
        """Remove it; what was removed, by the names of `look`."""
        ...
