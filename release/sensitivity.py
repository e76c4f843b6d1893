"""Whether somebody who knows a part of a sum can compute another's part of it: the p %-rule, over people and holders.

Hundepool et al., Statistical Disclosure Control (2012), chapter 4: a sum is sensitive where what is left of it
without the one who looks and the one who is looked for is less than p % of the latter. Units overlap here: a driver and
the company that has the van both know what it did. So both the one and the other are sets of devices.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

Unit = frozenset[str]
"""The devices of one contributor, or of one holder."""


class _Side(NamedTuple):
    hides: float
    """What the unit's devices add to what others are hidden by."""
    asks: float
    """The unit's own amount."""
    devices: Unit


def reveals_a_part(
    units: Collection[Unit], amounts: Mapping[str, float], share: float, *, rounding: float = 0.0
) -> bool:
    """Whether a unit, or an outsider, can compute another's part of the sum within `share` of it.

    Whoever knows `a` of a sum has `sum - a` as the most that another adds; it is too close where all others add less
    than `share` of that. rounding: by how much the published sum may be nearer to the truth than that.
    """
    return _too_close(units, amounts, amounts, share, rounding)


def near_the_ceiling(units: Collection[Unit], amounts: Mapping[str, float], share: float, ceiling: float) -> bool:
    """The same from below, where everybody knows that a device adds at most `ceiling`.

    If ten engines ran for 239 of 240 hours, each ran for 23 at least: the others might have had too little more.
    """
    most = max(ceiling, *amounts.values()) if amounts else ceiling
    return _too_close(units, {device: most - amount for device, amount in amounts.items()}, amounts, share, 0.0)


def _too_close(
    units: Collection[Unit], hides: Mapping[str, float], asks: Mapping[str, float], share: float, rounding: float
) -> bool:
    """Whether for some unit `a` and some unit `t` all that hides what `t` has beyond `a` is less than `share` of it.

    From the largest down, and no further than there can be any: mostly a pair or two is looked at.
    """
    sides = [_Side(_sum(hides, unit), _sum(asks, unit), unit) for unit in units]
    looked_for = sorted(sides, key=lambda side: side.hides + share * side.asks, reverse=True)
    lookers = sorted([*sides, _Side(0.0, 0.0, frozenset())], key=lambda side: side.hides, reverse=True)
    left = sum(hides.values()) - rounding
    for looker in lookers:
        for place, target in enumerate(looked_for):
            if left - looker.hides - target.hides >= share * target.asks:
                if place == 0:
                    return False
                break
            unknown = target.devices - looker.devices
            asked = _sum(asks, unknown)
            if asked > 0 and left - looker.hides - _sum(hides, unknown) < share * asked:
                return True
    return False


def _sum(amounts: Mapping[str, float], devices: Unit) -> float:
    return sum(amounts[device] for device in devices)
