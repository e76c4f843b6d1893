"""History's rows as points: one a device and time, with only the readings that may be used."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from contracts.errors import SchemaMismatch
from contracts.record import BAD_POSITION, READINGS, Flag

LATE_AFTER_S = 3600
READ: tuple[str, ...] = (
    "device_id",
    "ts",
    "record_id",
    "arrival_ts",
    "flags",
    "lat",
    "lon",
    "speed_kmh",
    "odometer_km",
    "engine_rpm",
    "engine_on",
    "fuel_rate_lph",
)
"""The columns of history that derivations read."""


def to_points(rows: DataFrame) -> DataFrame:
    """One point for each device and ts.

    rows: the columns READ of history, any order. A row whose flags have a bit of BAD_POSITION has no position. Of
    rows with one device and ts the point is one with a position if there is any, of these the one that arrived
    first, then that of the smaller record_id; its other readings come with it.
    Returns device_id, ts, lat, lon (degrees), speed_kmh, odometer_km, fuel_rate_lph (each null where missing, out of
    bounds or flagged), engine (true, false, or null where neither engine_on nor engine_rpm says), and how many rows
    there were: records, flagged, late (arrived more than an hour after ts). Partitioned by device.
    Raises SchemaMismatch where a column is missing.
    """
    missing = sorted(set(READ) - set(rows.columns))
    if missing:
        raise SchemaMismatch(f"rows of history lack {', '.join(missing)}; select lake.trips.points.READ")
    same_time = Window.partitionBy("device_id", "ts")
    whole = same_time.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    best_first = same_time.orderBy(F.col("lat").isNull(), "arrival_ts", "record_id")
    late = F.unix_millis("arrival_ts") - F.unix_millis("ts") > LATE_AFTER_S * 1000
    return (
        rows.select("device_id", "ts", "record_id", "arrival_ts", "flags", *_usable(), late.cast("int").alias("late"))
        .repartition("device_id")
        .select(
            "*",
            F.row_number().over(best_first).alias("place"),
            F.count("*").over(whole).alias("records"),
            F.sum((F.col("flags") != 0).cast("int")).over(whole).alias("all_flagged"),
            F.sum("late").over(whole).alias("all_late"),
        )
        .where("place = 1")
        .select(
            "device_id",
            "ts",
            "lat",
            "lon",
            "speed_kmh",
            "odometer_km",
            "fuel_rate_lph",
            "engine",
            "records",
            F.col("all_flagged").alias("flagged"),
            F.col("all_late").alias("late"),
        )
    )


def _usable() -> list[Column]:
    placed = _without(BAD_POSITION) & F.col("lat").isNotNull() & F.col("lon").isNotNull()
    return [
        F.when(placed, F.col("lat")).alias("lat"),
        F.when(placed, F.col("lon")).alias("lon"),
        F.when(_without(Flag.IMPOSSIBLE_SPEED), _within("speed_kmh")).alias("speed_kmh"),
        _within("odometer_km").alias("odometer_km"),
        _within("fuel_rate_lph").alias("fuel_rate_lph"),
        F.coalesce(F.col("engine_on"), _within("engine_rpm") > 0).alias("engine"),
    ]


def _without(bits: int) -> Column:
    return F.col("flags").bitwiseAND(int(bits)) == 0


def _within(name: str) -> Column:
    """The reading where it lies in the contract's bounds."""
    bounds = next(column for column in READINGS if column.name == name)
    return F.when(F.col(name).between(bounds.low, bounds.high), F.col(name))
