"""Roads: smooth curves whose length on the ground is exactly the distance driven."""

from dataclasses import dataclass
from math import cos, radians

import numpy as np

from devices.fleet.noise import Floats
from devices.fleet.roster import KM_PER_DEG, Vehicle

MAX_STEP_KM = 0.1
BENDS = 3
BEND_RAD = 0.35


@dataclass(frozen=True, slots=True)
class Road:
    """A road from the depot to its far end, driven to and fro. One entry a step along it; degrees and kilometres."""

    length_km: float
    along_km: Floats
    lat: Floats
    lon: Floats
    course_deg: Floats

    def at(self, driven_km: Floats) -> tuple[Floats, Floats, Floats]:
        """Latitude, longitude and course after so many kilometres from the depot, turning at both ends."""
        phase = np.mod(driven_km, 2 * self.length_km)
        back = phase > self.length_km
        along = np.where(back, 2 * self.length_km - phase, phase)
        course = np.interp(along, self.along_km, self.course_deg)
        return (
            np.interp(along, self.along_km, self.lat),
            np.interp(along, self.along_km, self.lon),
            np.mod(np.where(back, course + 180.0, course), 360.0),
        )


def lay_road(vehicle: Vehicle, length_km: float, rng: np.random.Generator) -> Road:
    """A road of that length from the vehicle's depot. Its course swings by waves; on the sphere, step by step."""
    steps = max(2, int(np.ceil(length_km / MAX_STEP_KM)))
    step_km = length_km / steps
    along = np.linspace(0.0, length_km, steps + 1)
    inland = vehicle.city.inland_deg
    course = radians(rng.uniform(0, 360) if inland is None else inland + rng.uniform(-35, 35)) + np.zeros(steps + 1)
    for _ in range(BENDS):
        wave_km = rng.uniform(*vehicle.kind.bend_km)
        course += BEND_RAD * np.sin(2 * np.pi * along / wave_km + rng.uniform(0, 2 * np.pi))
    middle = (course[1:] + course[:-1]) / 2
    lat = vehicle.lat + np.concatenate([[0.0], np.cumsum(np.cos(middle) * step_km / KM_PER_DEG)])
    shrink = np.cos(np.radians((lat[1:] + lat[:-1]) / 2))
    lon = vehicle.lon + np.concatenate([[0.0], np.cumsum(np.sin(middle) * step_km / KM_PER_DEG / shrink)])
    return Road(length_km, along, lat, lon, np.degrees(course))


def height_m(vehicle: Vehicle, lat: Floats, lon: Floats) -> Floats:
    """Height of the ground, gently rolling about that of the city."""
    scale = cos(radians(vehicle.lat))
    height: Floats = vehicle.city.altitude_m + 12 * np.sin(lat * 90) + 9 * np.cos(lon * scale * 70)
    return height
