"""Who is on the road: devices of a region by the hour of its own day, and what goes wrong with them."""

import math
from collections.abc import Sequence

import msgspec

NIGHT = 0.125
"""Of the devices at the peak, those that speak at night: 50,000 of 400,000."""
_MORNING_H, _EVENING_H = 6.0, 20.0
_RAMP_H = 2.0


def share_of_day(hour: float) -> float:
    """The share of a region's devices that speak at an hour of its own day: NIGHT to 1, with ramps of two hours."""
    hour %= 24
    rise = _smooth((hour - _MORNING_H + _RAMP_H / 2) / _RAMP_H)
    fall = _smooth((hour - _EVENING_H + _RAMP_H / 2) / _RAMP_H)
    return NIGHT + (1 - NIGHT) * (rise - fall)


def _smooth(at: float) -> float:
    """0 before, 1 after, and half a cosine between."""
    inside = min(1.0, max(0.0, at))
    return (1 - math.cos(math.pi * inside)) / 2


class Storm(msgspec.Struct, frozen=True, kw_only=True):
    """A mobile network that goes away for a while; then its devices come back and send what they kept."""

    begins_s: float
    away_s: float
    share: float


class LostWorkers(msgspec.Struct, frozen=True, kw_only=True):
    """Workers that are gone at once: a lost zone takes a third of them, a bad deploy all new ones until it is taken
    back. missing_s: until others may be started in their place.
    """

    begins_s: float
    share: float
    missing_s: float


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """A day of one region, from its own midnight. utc_offset_h: of its clock."""

    region: str
    devices: int
    interval_s: float
    utc_offset_h: float
    storms: Sequence[Storm] = ()
    lost: Sequence[LostWorkers] = ()

    def connected(self, utc_s: float) -> float:
        """Devices that speak then, storms left out."""
        return self.devices * share_of_day(utc_s / 3_600 + self.utc_offset_h)

    def records_s(self, utc_s: float) -> float:
        """Records a second on the stream. After a storm its devices send what they kept within three minutes."""
        rate = self.connected(utc_s) / self.interval_s
        for storm in self.storms:
            since = utc_s - storm.begins_s
            if 0 <= since < storm.away_s:
                rate -= storm.share * self.connected(utc_s) / self.interval_s
            elif storm.away_s <= since < storm.away_s + RESEND_S:
                kept = storm.share * self.connected(utc_s) / self.interval_s * storm.away_s
                rate += kept / RESEND_S
        return rate


RESEND_S = 180.0
