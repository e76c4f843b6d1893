"""Intervals become trips."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from contracts.derived import TRIP_SCHEMA
from lake.trips.rules import TripRules

_ROUNDED = {"distance_km": 6, "moving_s": 3, "idle_s": 3, "fuel_l": 6}
"""Decimals kept: to the millimetre and the millisecond, so that the order of a sum is not seen in it."""


def to_trips(intervals: DataFrame, rules: TripRules) -> DataFrame:
    """One row a trip, in the columns of contracts.derived.TRIP.

    intervals: as of lake.trips.intervals.to_intervals. A trip runs from the start of its first interval in motion to
    the end of its last. It ends after `rules.stop_s` without movement or `rules.gap_s` without a record; one that
    goes on past local noon of the day after its start is cut there, and again each noon: the interval that contains
    noon begins the next piece, which belongs to that noon's day. At a cut, both pieces count the record between them.
    """
    piece = Window.partitionBy("device_id", "trip_no", "trip_day")
    moved = F.col("moving")
    bounded = intervals.where("next_ts is not null and trip_no > 0").select("*", _trip_day(rules).alias("trip_day"))
    bounded = bounded.select(
        "*",
        F.min(F.when(moved, F.col("ts"))).over(piece).alias("start_ts"),
        F.max(F.when(moved, F.col("next_ts"))).over(piece).alias("end_ts"),
    )
    within = bounded.where("ts >= start_ts and next_ts <= end_ts")
    trips = within.groupBy("device_id", "trip_no", "trip_day").agg(
        F.first("start_ts").alias("start_ts"),
        F.first("end_ts").alias("end_ts"),
        F.min(_first_position()).alias("first_at"),
        F.max(_last_position()).alias("last_at"),
        F.sum(F.when(F.col("from_ts") >= F.col("start_ts"), F.col("step_km"))).alias("distance_km"),
        F.sum(F.when(moved, F.col("dt_s")).otherwise(0.0)).alias("moving_s"),
        F.sum(F.when(~moved & _on_or_unknown(), F.col("dt_s")).otherwise(0.0)).alias("idle_s"),
        F.max(F.greatest("speed_kmh", "next_speed_kmh")).alias("max_speed_kmh"),
        F.sum("fuel_l").alias("fuel_l"),
        (F.count("*") + 1).alias("records"),
    )
    return trips.select(*_columns())


def _trip_day(rules: TripRules) -> Column:
    """The day of the trip's start, or of the last noon before the interval's end where that is later."""
    start_day = F.to_date(F.from_utc_timestamp("trip_start", rules.time_zone))
    end = F.from_utc_timestamp("next_ts", rules.time_zone)
    return F.greatest(start_day, F.to_date(end - F.expr("INTERVAL 12 HOURS 0.000001 SECONDS")))


def _first_position() -> Column:
    here = F.struct(F.col("ts").alias("at"), F.col("lat"), F.col("lon"))
    return F.when(F.col("lat").isNotNull(), here).otherwise(F.when(F.col("next_lat").isNotNull(), _next_position()))


def _last_position() -> Column:
    here = F.struct(F.col("ts").alias("at"), F.col("lat"), F.col("lon"))
    return F.when(F.col("next_lat").isNotNull(), _next_position()).otherwise(F.when(F.col("lat").isNotNull(), here))


def _next_position() -> Column:
    return F.struct(F.col("next_ts").alias("at"), F.col("next_lat").alias("lat"), F.col("next_lon").alias("lon"))


def _on_or_unknown() -> Column:
    return F.coalesce(F.col("engine"), F.lit(True))


def _columns() -> list[Column]:
    made = {
        "trip_id": F.concat_ws("-", "device_id", F.unix_millis("start_ts")),
        "day": F.col("trip_day"),
        "start_lat": F.col("first_at.lat"),
        "start_lon": F.col("first_at.lon"),
        "end_lat": F.col("last_at.lat"),
        "end_lon": F.col("last_at.lon"),
        "distance_km": F.round(F.coalesce("distance_km", F.lit(0.0)), _ROUNDED["distance_km"]),
    }
    made |= {name: F.round(name, _ROUNDED[name]) for name in ("moving_s", "idle_s", "fuel_l")}
    return [made.get(name, F.col(name)).alias(name) for name in TRIP_SCHEMA.names]
