"""Distance on the ground."""

from pyspark.sql import Column
from pyspark.sql import functions as fn

EARTH_KM = 6371.0088
"""Mean radius of WGS 84 (IUGG)."""


def haversine_km(lat1: Column, lon1: Column, lat2: Column, lon2: Column) -> Column:
    """Great-circle distance in kilometres between positions in degrees; null where one is null."""
    half_lat = fn.sin(fn.radians(lat2 - lat1) / 2)
    half_lon = fn.sin(fn.radians(lon2 - lon1) / 2)
    chord = half_lat * half_lat + fn.cos(fn.radians(lat1)) * fn.cos(fn.radians(lat2)) * half_lon * half_lon
    return 2 * EARTH_KM * fn.asin(fn.sqrt(fn.least(chord, fn.lit(1.0))))
