"""Intervals and trips become device days."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from contracts.derived import DEVICE_DAY_SCHEMA

_SECONDS = ("engine_s", "moving_s", "idle_s", "off_s")


def to_device_days(intervals: DataFrame, trips: DataFrame) -> DataFrame:
    """One row for each device and business day with a record, in the columns of contracts.derived.DEVICE_DAY.

    intervals: as of lake.derive.trips.intervals.to_intervals. trips: as of lake.derive.trips.segment.to_trips.
    Only what happened between two records of the same day counts: moving_s + idle_s + off_s is the time from the
    day's first record to its last. distance_gps_km leaves out jumps (lake.derive.trips.rules.JUMP_KM), and nothing
    else.
    """
    days = intervals.groupBy("device_id", "day").agg(*_of_all_records(), *_within_the_day())
    started = trips.groupBy("device_id", "day").agg(fn.count("*").cast("int").alias("trips"))
    joined = days.join(started, ["device_id", "day"], "left")
    return joined.select(*_columns())


def _of_all_records() -> list[Column]:
    return [
        *(fn.sum(name).alias(name) for name in ("records", "flagged", "late")),
        fn.min("ts").alias("first_ts"),
        fn.max("ts").alias("last_ts"),
        fn.max("speed_kmh").alias("max_speed_kmh"),
        fn.count("odometer_km").alias("odometer_readings"),
    ]


def _within_the_day() -> list[Column]:
    inside = fn.coalesce(fn.col("next_day") == fn.col("day"), fn.lit(False))
    placed, counted = (inside & (fn.col(name) == fn.col("day")) for name in ("from_day", "odometer_day"))
    moving, running = fn.col("moving"), fn.col("running")
    return [
        _time(inside & running).alias("engine_s"),
        _time(inside & moving).alias("moving_s"),
        _time(inside & running & ~moving).alias("idle_s"),
        _time(inside & ~running & ~moving).alias("off_s"),
        fn.sum(fn.when(placed, fn.col("step_km"))).alias("distance_gps_km"),
        fn.sum(fn.when(counted, fn.col("odometer_step_km"))).alias("odometer_km"),
        fn.sum(fn.when(inside, fn.col("fuel_l"))).alias("fuel_l"),
    ]


def _time(condition: Column) -> Column:
    return fn.sum(fn.when(condition, fn.col("dt_s")).otherwise(0.0))


def _columns() -> list[Column]:
    made = {name: fn.round(name, 3) for name in _SECONDS}
    made["distance_gps_km"] = fn.round(fn.coalesce("distance_gps_km", fn.lit(0.0)), 6)
    driven = fn.round(fn.coalesce("odometer_km", fn.lit(0.0)), 6)
    made["distance_odometer_km"] = fn.when(fn.col("odometer_readings") > 0, driven)
    made["fuel_l"] = fn.round("fuel_l", 6)
    made["trips"] = fn.coalesce("trips", fn.lit(0)).cast("int")
    return [made.get(name, fn.col(name)).alias(name) for name in DEVICE_DAY_SCHEMA.names]
