"""When a device entered or left a zone, as live state tells it: the rule of visits, and what was told already."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from serving.zones.ring import Ring
from serving.zones.visits import INSIDE, OUTSIDE, UNKNOWN, states

ENTERED, LEFT = "zone.entered", "zone.left"
Point = tuple[int, float, float]
"""Epoch milliseconds, latitude and longitude."""


class Crossing(NamedTuple):
    """A device entered a zone or left it."""

    kind: str
    ts_ms: int
    """The first record inside, or the first outside."""


def crossings(points: Sequence[Point], ring: Ring, since_ms: int, told: Crossing | None) -> list[Crossing]:
    """What is new after what was told last, or after `since_ms` where nothing was; entering and leaving take turns.

    points: a device's newest, by time. One that comes late, from before what was told, changes nothing here: visits and
    the feed tell it. Where nothing was told and no point before is outside, a device that is inside did not enter.
    """
    known = [point for point in points if told is None or point[0] > told.ts_ms]
    if not known:
        return []
    ts_ms, lat, lon = (np.array(column) for column in zip(*known, strict=True))
    before = UNKNOWN if told is None else INSIDE if told.kind == ENTERED else OUTSIDE
    state = states(lat, lon, ring, before)
    earlier = np.concatenate(([before], state[:-1]))
    turns = np.flatnonzero((state != earlier) & (earlier != UNKNOWN))
    found = [Crossing(ENTERED if state[turn] == INSIDE else LEFT, int(ts_ms[turn])) for turn in turns.tolist()]
    return [one for one in found if one.ts_ms > since_ms]
