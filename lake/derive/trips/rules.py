"""What counts as moving, standing and a trip."""

from dataclasses import dataclass

from contracts.errors import BadSettings
from contracts.settings import RegionSettings

FASTEST_KMH = 300.0
"""The contract's highest plausible speed."""
JUMP_KM = 1.0
"""A step longer than this at more than FASTEST_KMH is a receiver's error, not a journey. Shorter ones are counted:
at the second's resolution of many receivers a few hundred metres may look faster than they were."""


@dataclass(frozen=True, slots=True)
class TripRules:
    """Rules of one region (defaults as Traccar's).

    stop_s: a trip ends after this long without movement. gap_s: or this long without a record.
    moving_kmh: faster than this is movement. time_zone: IANA zone of business days.
    Raises BadSettings where a business day would depend on more than the night before it.
    """

    stop_s: int
    gap_s: int
    moving_kmh: float
    time_zone: str

    def __post_init__(self) -> None:
        if 2 * self.gap_s + self.stop_s >= 12 * 3600:
            raise BadSettings(
                f"trip_gap_s={self.gap_s} and trip_stop_s={self.stop_s} are too long: twice the gap and the stop "
                "must stay under 12 h"
            )

    @property
    def look_back_s(self) -> int:
        """How far before its midnight a business day's trips depend on records."""
        return self.gap_s + self.stop_s


def trip_rules(settings: RegionSettings) -> TripRules:
    """The rules that a region's settings give."""
    return TripRules(
        stop_s=settings.trip_stop_s,
        gap_s=settings.trip_gap_s,
        moving_kmh=settings.moving_kmh,
        time_zone=settings.row.time_zone,
    )
