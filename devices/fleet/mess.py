"""The mess of the field: what goes wrong with which record, decided by seed, vehicle and moment alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.errors import Misuse
from devices.fleet.day import Day
from devices.fleet.noise import Moments, generator, uniform
from devices.fleet.roster import Vehicle

DUPLICATE = "duplicate"
REJECTED: dict[str, str] = {
    "truncated_json": "not_json",
    "missing_device_id": "bad_device_id",
    "bad_ts": "bad_ts",
    "impossible_ts": "impossible_ts",
}
"""Kinds that the consumer has to reject, with the reason that it gives (contracts.record.RejectReason)."""
WEIGHTS: dict[str, float] = {
    DUPLICATE: 0.30,
    "null_island": 0.12,
    "out_of_range": 0.12,
    "wrong_type": 0.10,
    "unknown_field": 0.10,
    "truncated_json": 0.08,
    "missing_device_id": 0.08,
    "bad_ts": 0.05,
    "impossible_ts": 0.05,
}
"""Parts of the share, by kind; a record has at most one of these."""
LATE, AHEAD, BEHIND = "late", "clock_ahead", "clock_behind"
"""What befalls a device for a while, besides: a record may have these and one of the kinds above."""
DEAD_ZONE_TIMES, SKEW_TIMES = 8.0, 2.0
"""How many times the share of device days has a dead zone, or a clock that is off."""
GPS_EPOCH_MS = 315_964_800_000
NOT_A_TIME = "2026-13-40T25:61:00Z"


@dataclass(frozen=True, slots=True)
class DeadZone:
    """A span without a connection (epoch ms); what is recorded in it is delivered in one batch at delivered_ms."""

    start_ms: int
    end_ms: int
    delivered_ms: int


@dataclass(frozen=True, slots=True)
class Mess:
    """share: of all records that get one of WEIGHTS, from 0 to 0.5."""

    share: float = 0.03

    def __post_init__(self) -> None:
        if not 0 < self.share <= 0.5:  # noqa: PLR2004
            raise Misuse(f"--mess-share {self.share} is no share of records; give one above 0, at most 0.5")

    def kinds(self, vehicle: Vehicle, moments: Moments) -> NDArray[np.intp]:
        """For each moment the place in WEIGHTS of what goes wrong, or len(WEIGHTS) for nothing."""
        bounds = np.cumsum(list(WEIGHTS.values())) * self.share
        return np.searchsorted(bounds, uniform(vehicle.key, "mess", moments), side="right")

    def skew_ms(self, vehicle: Vehicle, day: Day) -> int:
        """How far the device's clock is off that day: up to 4 minutes ahead, or 40 behind; mostly 0.

        Never so far ahead that the consumer would find the time impossible.
        """
        rng = generator(vehicle.key, "skew", day.day.toordinal())
        if rng.random() >= self.share * SKEW_TIMES:
            return 0
        return int(rng.integers(6_000, 240_000) if rng.random() < 0.5 else -rng.integers(6_000, 2_400_000))  # noqa: PLR2004

    def dead_zone(self, vehicle: Vehicle, day: Day) -> DeadZone | None:
        """A span of 20 to 90 minutes of the working day, delivered 1 to 5 hours after its end."""
        rng = generator(vehicle.key, "dead zone", day.day.toordinal())
        if rng.random() >= self.share * DEAD_ZONE_TIMES or not len(day.trip_start_s):
            return None
        start_ms = day.start_ms + int(1000 * rng.uniform(day.trip_start_s[0], day.trip_end_s[-1]))
        end_ms = start_ms + int(rng.integers(20 * 60_000, 90 * 60_000))
        return DeadZone(start_ms, end_ms, end_ms + int(rng.integers(3_600_000, 5 * 3_600_000)))


def spoil(kind: str, row: int, moment: int, columns: dict[str, list[Any]]) -> None:
    """Put what goes wrong into one row of the columns, before it is encoded."""
    if change := _CHANGES.get(kind):
        for field, value in change(columns, row, moment // 7 % 4).items():
            columns[field][row] = value


def spoil_bytes(kind: str, moment: int, payload: bytes) -> bytes:
    """The record's bytes as they leave the device."""
    if kind == "truncated_json":
        return payload[: len(payload) * (30 + moment % 60) // 100]
    if kind == "unknown_field":
        further = msgspec.json.encode({"fw_build": f"7.{moment % 5}", "sat_count": moment % 13})
        return payload[:-1] + b"," + further[1:]
    return payload


def _out_of_range(columns: dict[str, list[Any]], row: int, variant: int) -> dict[str, Any]:
    odd = ({"lat": 91.5}, {"speed_kmh": 1310.0}, {"coolant_c": -273.0}, {"fuel_pct": 655.35})
    return odd[variant]


def _wrong_type(columns: dict[str, list[Any]], row: int, variant: int) -> dict[str, Any]:
    speed = str(columns["speed_kmh"][row]).replace(".", ",")
    odd = ({"speed_kmh": speed}, {"engine_on": "yes"}, {"fault_codes": "P0420"}, {"heading_deg": "NNE"})
    return odd[variant]


_CHANGES: dict[str, Callable[[dict[str, list[Any]], int, int], dict[str, Any]]] = {
    "null_island": lambda columns, row, variant: {"lat": 0.0, "lon": 0.0},
    "out_of_range": _out_of_range,
    "wrong_type": _wrong_type,
    "missing_device_id": lambda columns, row, variant: {"device_id": None},
    "bad_ts": lambda columns, row, variant: {"ts": NOT_A_TIME},
    "impossible_ts": lambda columns, row, variant: {"ts": GPS_EPOCH_MS + variant},
}
