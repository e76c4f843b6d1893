"""Turns points into the intervals between them, with the state of each."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn
from pyspark.sql.window import Window, WindowSpec

from lake.derive.trips.rules import FASTEST_KMH, JUMP_KM, TripRules

EARTH_KM = 6371.0088
"""Mean radius of WGS 84 (IUGG)."""


def to_intervals(points: DataFrame, rules: TripRules) -> DataFrame:
    """One row for each point: the interval from it to the device's next point (next_ts null at the last).

    points: as of lake.derive.trips.points.to_points. An interval longer than `rules.gap_s` is a gap of
    unknown state. Any other has the state of its start: in motion where the speed there, or in its absence the speed
    implied by the positions at both ends, exceeds `rules.moving_kmh`; engine on as the point says, or, where it does
    not say, if in motion.
    Returns the point's columns and next_ts, next_lat, next_lon, next_speed_kmh, dt_s (s), day and next_day
    (business days), gap, moving, running, fuel_l (null where the rate is unknown), step_km (to the next point's
    position from the newest position known, which was in from_day at from_ts; null for jumps), odometer_step_km
    (likewise, from odometer_day), and trip_no, trip_start: of the natural trip that the interval would belong to, cut
    only by stops and gaps.
    """
    return _with_trip_number(_with_state(_with_neighbours(points), rules), rules)


def _with_neighbours(points: DataFrame) -> DataFrame:
    placed, counted = fn.col("lat").isNotNull(), fn.col("odometer_km").isNotNull()
    return points.select(
        "*",
        *(fn.lead(name).over(_in_order()).alias(f"next_{name}") for name in ("ts", "lat", "lon", "speed_kmh")),
        fn.lead("odometer_km").over(_in_order()).alias("next_odometer_km"),
        _newest("lat", _so_far()).alias("from_lat"),
        _newest("lon", _so_far()).alias("from_lon"),
        _newest_of(placed, fn.col("ts"), _so_far()).alias("from_ts"),
        _newest("odometer_km", _so_far()).alias("odometer_from_km"),
        _newest_of(counted, fn.col("ts"), _so_far()).alias("odometer_ts"),
    )


def _with_state(rows: DataFrame, rules: TripRules) -> DataFrame:
    dt_s = _seconds("ts", "next_ts")
    here = haversine_km(fn.col("lat"), fn.col("lon"), fn.col("next_lat"), fn.col("next_lon"))
    implied_kmh = here / dt_s * 3600
    plausible = fn.when(implied_kmh <= FASTEST_KMH, implied_kmh)
    known = rows.select("*", dt_s.alias("dt_s"), fn.coalesce(fn.col("speed_kmh"), plausible).alias("pace_kmh"))
    gap = fn.coalesce(fn.col("dt_s") > rules.gap_s, fn.lit(True))
    moving = ~gap & fn.coalesce(fn.col("pace_kmh") > rules.moving_kmh, fn.lit(False))
    fuel_l = fn.when(~gap, fn.col("fuel_rate_lph") * fn.col("dt_s") / 3600)
    return known.select(
        *rows.columns,
        "dt_s",
        _business_day("ts", rules).alias("day"),
        _business_day("next_ts", rules).alias("next_day"),
        _business_day("from_ts", rules).alias("from_day"),
        _business_day("odometer_ts", rules).alias("odometer_day"),
        gap.alias("gap"),
        moving.alias("moving"),
        (~gap & fn.coalesce(fn.col("engine"), moving)).alias("running"),
        fuel_l.alias("fuel_l"),
        _step_km().alias("step_km"),
        _odometer_step_km().alias("odometer_step_km"),
    )


def _with_trip_number(rows: DataFrame, rules: TripRules) -> DataFrame:
    """A moving interval starts a trip unless the one before it ended less than a stop ago, with no gap between."""
    gaps = rows.select("*", fn.sum(fn.col("gap").cast("int")).over(_so_far()).alias("gaps"))
    moving = fn.col("moving")
    before = gaps.select(
        "*",
        _newest_of(moving, fn.col("next_ts"), _before()).alias("moved_until"),
        _newest_of(moving, fn.col("gaps"), _before()).alias("moved_gaps"),
    )
    stood_s = _seconds("moved_until", "ts")
    same_trip = (stood_s < rules.stop_s) & (fn.col("gaps") == fn.col("moved_gaps"))
    starts = moving & ~fn.coalesce(same_trip, fn.lit(False))
    started = before.select(*rows.columns, starts.alias("starts"))
    return started.select(
        *rows.columns,
        fn.sum(fn.col("starts").cast("int")).over(_so_far()).alias("trip_no"),
        _newest_of(fn.col("starts"), fn.col("ts"), _so_far()).alias("trip_start"),
    )


def _step_km() -> Column:
    """Distance to the next point's position, unless that is a jump."""
    km = haversine_km(fn.col("from_lat"), fn.col("from_lon"), fn.col("next_lat"), fn.col("next_lon"))
    kmh = km / _seconds("from_ts", "next_ts") * 3600
    return fn.when((km <= JUMP_KM) | (kmh <= FASTEST_KMH), km)


def _odometer_step_km() -> Column:
    """Growth of the odometer; none where it falls (a reset) or grows faster than any machine drives."""
    km = fn.col("next_odometer_km") - fn.col("odometer_from_km")
    most = FASTEST_KMH * _seconds("odometer_ts", "next_ts") / 3600 + JUMP_KM
    return fn.when(km.between(fn.lit(0.0), most), km)


def _in_order() -> WindowSpec:
    return Window.partitionBy("device_id").orderBy("ts")


def _so_far() -> WindowSpec:
    return _in_order().rowsBetween(Window.unboundedPreceding, Window.currentRow)


def _before() -> WindowSpec:
    return _in_order().rowsBetween(Window.unboundedPreceding, -1)


def _newest(name: str, window: WindowSpec) -> Column:
    return fn.last(name, ignorenulls=True).over(window)


def _newest_of(condition: Column, value: Column, window: WindowSpec) -> Column:
    return fn.last(fn.when(condition, value), ignorenulls=True).over(window)


def _seconds(start: str, end: str) -> Column:
    return (fn.unix_micros(end) - fn.unix_micros(start)) / 1e6


def _business_day(name: str, rules: TripRules) -> Column:
    return fn.to_date(fn.from_utc_timestamp(name, rules.time_zone))


def haversine_km(lat1: Column, lon1: Column, lat2: Column, lon2: Column) -> Column:
    """Great-circle distance in kilometres between positions in degrees; null where one is null."""
    half_lat = fn.sin(fn.radians(lat2 - lat1) / 2)
    half_lon = fn.sin(fn.radians(lon2 - lon1) / 2)
    chord = half_lat * half_lat + fn.cos(fn.radians(lat1)) * fn.cos(fn.radians(lat2)) * half_lon * half_lon
    return 2 * EARTH_KM * fn.asin(fn.sqrt(fn.least(chord, fn.lit(1.0))))
