"""Readings to a vehicle's messages: which fields it sends, in which form, and its extra signals and attributes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from devices.encode import RowEncoder, constant, present
from devices.fleet.day import Day
from devices.fleet.noise import Floats, Moments, around_zero, uniform
from devices.fleet.readings import Readings, read
from devices.fleet.roster import Vehicle

FIELDS = (
    "device_id", "ts", "event_id", "lat", "lon", "altitude_m", "speed_kmh", "heading_deg", "odometer_km", "engine_rpm",
    "engine_load_pct", "coolant_c", "fuel_pct", "fuel_rate_lph", "engine_on", "fault_codes",
)  # fmt: skip
PASSENGERS = 70


class Messages:
    """Makes one vehicle's records as columns, and their bytes."""

    def __init__(self, vehicle: Vehicle) -> None:
        self._vehicle = vehicle
        self._signals = _signal_names(vehicle)
        self._attributes = tuple(_attributes(vehicle))
        self._encoder = RowEncoder(FIELDS, self._signals, self._attributes)

    def columns(self, day: Day, moments: Moments, skew_ms: int) -> dict[str, list[Any]]:
        """Values by field, one a moment; signals and attributes by their names."""
        vehicle, seen = self._vehicle, read(self._vehicle, day, moments)
        rows = len(moments)
        columns: dict[str, list[Any]] = {
            "device_id": constant(vehicle.device_id, rows),
            "ts": _times(vehicle, moments + skew_ms),
            "event_id": [f"{moment:x}" for moment in moments.tolist()] if vehicle.event_ids else constant(None, rows),
            "engine_on": seen.engine_on.tolist(),
            "fault_codes": _faults(day, moments, seen),
        }
        for field in ("lat", "lon", "altitude_m", "speed_kmh", "heading_deg", "odometer_km"):
            columns[field] = present(getattr(seen, field))
        burns = {
            "engine_rpm": seen.engine_rpm,
            "engine_load_pct": seen.engine_load_pct,
            "coolant_c": seen.coolant_c,
            "fuel_pct": seen.energy_pct,
            "fuel_rate_lph": seen.fuel_rate_lph,
        }
        for field, values in burns.items():
            columns[field] = constant(None, rows) if vehicle.electric else present(values)
        columns |= _signals(vehicle, moments, seen)
        columns |= {name: constant(value, rows) for name, value in _attributes(vehicle).items()}
        return columns

    def encode(self, columns: dict[str, list[Any]]) -> list[bytes]:
        """The bytes of each row."""
        return self._encoder.encode(
            [columns[field] for field in FIELDS],
            [columns[name] for name in self._signals],
            [columns[name] for name in self._attributes],
        )


def _times(vehicle: Vehicle, moments: Moments) -> list[Any]:
    if not vehicle.rfc3339:
        return list(moments.tolist())
    texts: list[Any] = np.datetime_as_string(moments.astype("datetime64[ms]"), timezone="UTC").tolist()
    return texts


def _faults(day: Day, moments: Moments, seen: Readings) -> list[Any]:
    if day.fault is None:
        return constant(None, len(moments))
    active = seen.engine_on & (moments >= day.start_ms + day.fault_from_s * 1000)
    return [[day.fault] if on else None for on in active.tolist()]


def _signal_names(vehicle: Vehicle) -> tuple[str, ...]:
    names = ["battery_soc_pct", "battery_c"] if vehicle.electric else []
    if vehicle.extras:
        names += {
            "truck": ["axle_load_kg", "adblue_pct"],
            "bus": ["passengers"],
            "machine": ["hydraulic_bar"],
            "van": ["cargo_c"],
            "car": ["cabin_c"],
        }[vehicle.kind.type]
    return tuple(names)


def _signals(vehicle: Vehicle, moments: Moments, seen: Readings) -> dict[str, list[Any]]:
    key = vehicle.key
    slow = moments // 1_800_000
    seats: Floats = np.floor(PASSENGERS * uniform(key, "seats", moments // 240_000))
    all_signals: dict[str, Callable[[], Floats]] = {
        "battery_soc_pct": lambda: seen.energy_pct,
        "battery_c": lambda: np.round(21 + 4 * around_zero(key, "battery", slow), 1),
        "axle_load_kg": lambda: np.round(7_500 + 3_500 * uniform(key, "load", moments // 14_400_000), -1),
        "adblue_pct": lambda: np.round(seen.energy_pct * 0.8 + 15, 1),
        "passengers": lambda: seats * seen.engine_on.astype(np.float64),
        "hydraulic_bar": lambda: _hydraulic_bar(key, moments, seen),
        "cargo_c": lambda: np.round(4 + 1.5 * around_zero(key, "cargo", moments // 600_000), 1),
        "cabin_c": lambda: np.round(21 + 2 * around_zero(key, "cabin", slow), 1),
    }
    return {name: present(all_signals[name]()) for name in _signal_names(vehicle)}


def _hydraulic_bar(key: int, moments: Moments, seen: Readings) -> Floats:
    pressure: Floats = np.where(seen.moving, 180 + 60 * around_zero(key, "oil", moments), 22.0)
    return np.round(pressure, 1)


def _attributes(vehicle: Vehicle) -> dict[str, str]:
    if not vehicle.extras:
        return {}
    number = vehicle.index
    return {
        "truck": {"driver_card": f"DC{number:08d}", "trailer": f"T-{number % 37:03d}"},
        "bus": {"route": str(100 + number % 60)},
        "van": {"job": f"J{number % 500:04d}"},
        "machine": {"site": f"S{number % 20:02d}"},
        "car": {},
    }[vehicle.kind.type]
