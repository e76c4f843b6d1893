"""Intervals and trips become device days."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from contracts.derived import DEVICE_DAY_SCHEMA

_SECONDS = ("engine_s", "moving_s", "idle_s", "off_s")


def to_device_days(intervals: DataFrame, trips: DataFrame) -> DataFrame:
    """One row for each device and business day with a record, in the columns of contracts.derived.DEVICE_DAY.

    intervals: as of lake.trips.intervals.to_intervals. trips: as of lake.trips.segment.to_trips.
    Only what happened between two records of the same day counts: moving_s + idle_s + off_s is the time from the
    day's first record to its last. distance_gps_km leaves out jumps (lake.trips.rules.JUMP_KM), and nothing else.
    """
    days = intervals.groupBy("device_id", "day").agg(*_of_all_records(), *_within_the_day())
    started = trips.groupBy("device_id", "day").agg(F.count("*").cast("int").alias("trips"))
    joined = days.join(started, ["device_id", "day"], "left")
    return joined.select(*_columns())


def _of_all_records() -> list[Column]:
    return [
        *(F.sum(name).alias(name) for name in ("records", "flagged", "late")),
        F.min("ts").alias("first_ts"),
        F.max("ts").alias("last_ts"),
        F.max("speed_kmh").alias("max_speed_kmh"),
        F.count("odometer_km").alias("odometer_readings"),
    ]


def _within_the_day() -> list[Column]:
    inside = F.coalesce(F.col("next_day") == F.col("day"), F.lit(False))
    moving, running = F.col("moving"), F.col("running")
    return [
        _time(inside & running).alias("engine_s"),
        _time(inside & moving).alias("moving_s"),
        _time(inside & running & ~moving).alias("idle_s"),
        _time(inside & ~running & ~moving).alias("off_s"),
        F.sum(F.when(inside & (F.col("from_day") == F.col("day")), F.col("step_km"))).alias("distance_gps_km"),
        F.sum(F.when(inside & (F.col("odometer_day") == F.col("day")), F.col("odometer_step_km"))).alias("odometer_km"),
        F.sum(F.when(inside, F.col("fuel_l"))).alias("fuel_l"),
    ]


def _time(condition: Column) -> Column:
    return F.sum(F.when(condition, F.col("dt_s")).otherwise(0.0))


def _columns() -> list[Column]:
    made = {name: F.round(name, 3) for name in _SECONDS}
    made["distance_gps_km"] = F.round(F.coalesce("distance_gps_km", F.lit(0.0)), 6)
    driven = F.round(F.coalesce("odometer_km", F.lit(0.0)), 6)
    made["distance_odometer_km"] = F.when(F.col("odometer_readings") > 0, driven)
    made["fuel_l"] = F.round("fuel_l", 6)
    made["trips"] = F.coalesce("trips", F.lit(0)).cast("int")
    return [made.get(name, F.col(name)).alias(name) for name in DEVICE_DAY_SCHEMA.names]
