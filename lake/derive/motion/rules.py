"""What counts as moving, standing and a trip."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from contracts.errors import BadSettings
from contracts.settings import LakeSettings


class Limits(NamedTuple):
    """The rules as compiled functions take them: microseconds, km/h, kilometres, seconds."""

    stop_us: int
    gap_us: int
    moving_kmh: float
    least_km: float
    least_s: float


class FleetRules(NamedTuple):
    """What a fleet has of its own (registry.fleet); None is the region's."""

    fleet_id: str
    stop_s: int | None = None
    gap_s: int | None = None
    least_m: float | None = None
    least_s: float | None = None


@dataclass(frozen=True, slots=True)
class TripRules:
    """Rules of one region.

    stop_s: a trip ends after this long without movement. gap_s: or this long without a record. moving_kmh: faster than
    this is movement. least_m: a trip is at least this long; least_s: or takes this long where nothing measured its
    length. time_zone: IANA zone of business days.

    Defaults are those of Traccar: `report.trip.minimalParkingDuration` 300 s, `minimalNoDataDuration` 3,600 s, and
    the 200 m and 180 s of its present motion logic, of which either makes a trip (`NewMotionProcessor`; its older
    reports had 500 m and 300 s). Here the metres decide wherever they are known: a device that stays within them has
    been nowhere, however long it took. Unlike Traccar's reports, one rule holds for a period of any length.

    of_devices: rules of devices whose fleet has rules of its own; all others have the region's.
    Raises BadSettings where a business day would depend on more than the night before it.
    """

    stop_s: int
    gap_s: int
    moving_kmh: float
    time_zone: str
    least_m: float = 200.0
    least_s: float = 180.0
    of_devices: Mapping[str, Limits] = field(default_factory=dict)

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

    @property
    def limits(self) -> Limits:
        """The rules without the time zone."""
        return Limits(
            stop_us=self.stop_s * 1_000_000,
            gap_us=self.gap_s * 1_000_000,
            moving_kmh=float(self.moving_kmh),
            least_km=self.least_m / 1000,
            least_s=float(self.least_s),
        )

    def limits_of(self, device_id: str) -> Limits:
        """The rules of one device."""
        return self.of_devices.get(device_id, self.limits)

    def of_fleet(self, fleet: FleetRules) -> Limits:
        """The region's rules with those that the fleet has of its own.

        Raises BadSettings where a device's day would depend on records that are not read for the region's other
        devices: stop and gap together may be no longer than the region's.
        """
        own = {name: value for name, value in fleet._asdict().items() if name != "fleet_id" and value is not None}
        mine = replace(self, **own)
        if mine.look_back_s > self.look_back_s:
            raise BadSettings(
                f"fleet {fleet.fleet_id}: stop_s={mine.stop_s} and gap_s={mine.gap_s} are together longer than the "
                f"region's {self.stop_s} and {self.gap_s}; shorten one of them, or lengthen FLEETLAKE_TRIP_STOP_S or "
                "FLEETLAKE_TRIP_GAP_S of the region"
            )
        return mine.limits


def trip_rules(settings: LakeSettings) -> TripRules:
    """The rules that a region's settings give."""
    return TripRules(
        stop_s=settings.trip_stop_s,
        gap_s=settings.trip_gap_s,
        moving_kmh=settings.moving_kmh,
        least_m=settings.trip_least_m,
        least_s=settings.trip_least_s,
        time_zone=settings.row.time_zone,
    )
