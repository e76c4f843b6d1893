"""When a device was in a zone: one rule, for its past and for live state."""

from typing import NamedTuple

import numpy as np

from serving.zones.ring import Ring

MARGIN_M = 30.0
"""So far outside a device is still in the zone that it was in: receivers are off by that much at rest."""
UNKNOWN, OUTSIDE, INSIDE = -1, 0, 1


class Stay(NamedTuple):
    """A stay in a zone. Times are epoch milliseconds of records."""

    enter_ms: int
    """The first record inside."""
    leave_ms: int | None
    """The first record outside; None where none is known."""
    last_ms: int
    """The last record of the stay."""
    began_before: bool
    """No record before tells that it was outside: when it entered is not known."""

    def dwell_s(self, until_ms: int | None = None) -> float:
        """How long it lasts: until it left, else until that moment, else as far as records tell."""
        end = self.leave_ms if self.leave_ms is not None else max(self.last_ms, until_ms or 0)
        return (end - self.enter_ms) / 1000


def stays(ts_ms: np.ndarray, lat: np.ndarray, lon: np.ndarray, ring: Ring) -> list[Stay]:
    """The stays that positions in the order of time tell of.

    A device enters with its first record inside, and leaves with its first record that is more than MARGIN_M outside.
    Between the two nothing ends a stay: silence does not say that a device left.
    """
    if not len(ts_ms):
        return []
    state = states(lat, lon, ring)
    edges = np.flatnonzero(np.diff((state == INSIDE).astype(np.int8), prepend=0, append=0))
    known_from = np.flatnonzero(state != UNKNOWN)[:1]
    found = []
    for first, behind in edges.reshape(-1, 2).tolist():
        left = int(ts_ms[behind]) if behind < len(ts_ms) else None
        found.append(Stay(int(ts_ms[first]), left, int(ts_ms[behind - 1]), first in known_from))
    return found


def states(lat: np.ndarray, lon: np.ndarray, ring: Ring, before: int = UNKNOWN) -> np.ndarray:
    """For each position, in the order of time, UNKNOWN, OUTSIDE or INSIDE: int8, of the positions' length.

    One that is within MARGIN_M outside says nothing: what was known before it holds. before: what was before the first.
    """
    close = ring.is_close(lat, lon, MARGIN_M)
    inside, outside = np.zeros(len(lat), bool), ~close
    inside[close] = ring.contains(lat[close], lon[close])
    outside[close] = ~inside[close] & ~ring.is_near(lat[close], lon[close], MARGIN_M)
    said = np.where(inside | outside, np.arange(len(inside)), -1)
    latest = np.maximum.accumulate(said)
    held: np.ndarray = np.where(latest >= 0, inside[np.maximum(latest, 0)], before).astype(np.int8)
    return held
