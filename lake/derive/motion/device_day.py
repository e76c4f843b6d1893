"""One device's business day: the rules put together."""

from typing import NamedTuple

from lake.derive.motion.compiling import entry
from lake.derive.motion.days import DayTotals, total_day
from lake.derive.motion.episodes import Episode, find_episodes
from lake.derive.motion.intervals import to_intervals
from lake.derive.motion.moments import Moments
from lake.derive.motion.rules import Limits
from lake.derive.motion.trips import DayBounds, Trip, cut_trips, is_trip, measure_trip


class Derived(NamedTuple):
    """What was made of one device's business day."""

    totals: DayTotals
    trips: list[Trip]
    episodes: list[Episode]


@entry
def derive_device_day(moments: Moments, first: int, end: int, day: DayBounds, limits: Limits) -> Derived:
    """Totals, trips and episodes of a business day.

    moments: all those that the day depends on and no others, so that the day's rows are the same whatever else is
    derived with it: from its midnight less a gap and a stop to the next noon inclusive. first, end: those of the day
    itself. A piece that continues a trip is kept however short it is: the trip was long enough where it began.
    """
    between = to_intervals(moments, limits)
    trips = []
    for piece in cut_trips(moments, between, day, limits):
        trip = measure_trip(moments, between, piece.first, piece.last)
        if piece.continues or is_trip(trip, limits):
            trips.append(trip)
    episodes = find_episodes(moments, between, day, limits)
    return Derived(total_day(moments, between, first, end), trips, episodes)
