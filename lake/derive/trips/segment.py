"""Intervals become trips."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn
from pyspark.sql.window import Window

from contracts.derived import TRIP_SCHEMA
from lake.derive.trips.rules import TripRules

_ROUNDED = {"distance_km": 6, "moving_s": 3, "idle_s": 3, "fuel_l": 6}
"""Decimals kept: to the millimetre and the millisecond, so that the order of a sum is not seen in it."""


def to_trips(intervals: DataFrame, rules: TripRules) -> DataFrame:
    """One row a trip, in the columns of contracts.derived.TRIP.

    intervals: as of lake.derive.trips.intervals.to_intervals. A trip runs from the start of its first interval in
    motion to the end of its last. It ends after `rules.stop_s` without movement or `rules.gap_s` without a record;
    one that goes on past local noon of the day after its start is cut there, and again each noon: the interval that
    contains noon begins the next piece, which belongs to that noon's day. At a cut, both pieces count the record
    between them.
    """
    piece = Window.partitionBy("device_id", "trip_no", "trip_day")
    moved = fn.col("moving")
    bounded = intervals.where("next_ts is not null and trip_no > 0").select("*", _trip_day(rules).alias("trip_day"))
    bounded = bounded.select(
        "*",
        fn.min(fn.when(moved, fn.col("ts"))).over(piece).alias("start_ts"),
        fn.max(fn.when(moved, fn.col("next_ts"))).over(piece).alias("end_ts"),
    )
    within = bounded.where("ts >= start_ts and next_ts <= end_ts")
    trips = within.groupBy("device_id", "trip_no", "trip_day").agg(
        fn.first("start_ts").alias("start_ts"),
        fn.first("end_ts").alias("end_ts"),
        fn.min(_first_position()).alias("first_at"),
        fn.max(_last_position()).alias("last_at"),
        fn.sum(fn.when(fn.col("from_ts") >= fn.col("start_ts"), fn.col("step_km"))).alias("distance_km"),
        fn.sum(fn.when(moved, fn.col("dt_s")).otherwise(0.0)).alias("moving_s"),
        fn.sum(fn.when(~moved & _on_or_unknown(), fn.col("dt_s")).otherwise(0.0)).alias("idle_s"),
        fn.max(fn.greatest("speed_kmh", "next_speed_kmh")).alias("max_speed_kmh"),
        fn.sum("fuel_l").alias("fuel_l"),
        (fn.count("*") + 1).alias("records"),
    )
    return trips.select(*_columns())


def _trip_day(rules: TripRules) -> Column:
    """The day of the trip's start, or of the last noon before the interval's end where that is later."""
    start_day = fn.to_date(fn.from_utc_timestamp("trip_start", rules.time_zone))
    end = fn.from_utc_timestamp("next_ts", rules.time_zone)
    return fn.greatest(start_day, fn.to_date(end - fn.expr("INTERVAL 12 HOURS 0.000001 SECONDS")))


def _first_position() -> Column:
    here = fn.struct(fn.col("ts").alias("at"), fn.col("lat"), fn.col("lon"))
    return fn.when(fn.col("lat").isNotNull(), here).otherwise(fn.when(fn.col("next_lat").isNotNull(), _next_position()))


def _last_position() -> Column:
    here = fn.struct(fn.col("ts").alias("at"), fn.col("lat"), fn.col("lon"))
    return fn.when(fn.col("next_lat").isNotNull(), _next_position()).otherwise(fn.when(fn.col("lat").isNotNull(), here))


def _next_position() -> Column:
    return fn.struct(fn.col("next_ts").alias("at"), fn.col("next_lat").alias("lat"), fn.col("next_lon").alias("lon"))


def _on_or_unknown() -> Column:
    return fn.coalesce(fn.col("engine"), fn.lit(True))


def _columns() -> list[Column]:
    made = {
        "trip_id": fn.concat_ws("-", "device_id", fn.unix_millis("start_ts")),
        "day": fn.col("trip_day"),
        "start_lat": fn.col("first_at.lat"),
        "start_lon": fn.col("first_at.lon"),
        "end_lat": fn.col("last_at.lat"),
        "end_lon": fn.col("last_at.lon"),
        "distance_km": fn.round(fn.coalesce("distance_km", fn.lit(0.0)), _ROUNDED["distance_km"]),
    }
    made |= {name: fn.round(name, _ROUNDED[name]) for name in ("moving_s", "idle_s", "fuel_l")}
    return [made.get(name, fn.col(name)).alias(name) for name in TRIP_SCHEMA.names]
