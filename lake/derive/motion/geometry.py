"""Distances on the earth."""

import math

from lake.derive.motion.compiling import scalar

EARTH_KM = 6371.0088
"""Mean radius of WGS 84 (IUGG)."""
KM_PER_DEGREE = EARTH_KM * math.pi / 180


@scalar
def haversine_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Great-circle distance in kilometres between positions in degrees."""
    half_lat = math.sin(math.radians(lat2 - lat1) / 2)
    half_lon = math.sin(math.radians(lon2 - lon1) / 2)
    chord = half_lat * half_lat + math.cos(math.radians(lat1)) * math.cos(math.radians(lat2)) * half_lon * half_lon
    return 2 * EARTH_KM * math.asin(math.sqrt(min(chord, 1.0)))


@scalar
def east_km(lat: float, from_lon: float, to_lon: float) -> float:
    """Kilometres eastward along a parallel, the short way round: 179.9 to -179.9 degrees is a small step."""
    turn = (to_lon - from_lon + 540.0) % 360.0 - 180.0
    return turn * KM_PER_DEGREE * math.cos(math.radians(lat))


@scalar
def north_km(from_lat: float, to_lat: float) -> float:
    """Kilometres northward along a meridian."""
    return (to_lat - from_lat) * KM_PER_DEGREE
