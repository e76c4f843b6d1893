"""History's rows as points: one a device and time, with only the readings that may be used."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn
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
_BOUNDS = {column.name: (column.low or 0.0, column.high or 0.0) for column in READINGS}


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
        raise SchemaMismatch(f"rows of history lack {', '.join(missing)}; select lake.derive.trips.points.READ")
    same_time = Window.partitionBy("device_id", "ts")
    whole = same_time.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    best_first = same_time.orderBy(fn.col("lat").isNull(), "arrival_ts", "record_id")
    late = fn.unix_millis("arrival_ts") - fn.unix_millis("ts") > LATE_AFTER_S * 1000
    return (
        rows.select("device_id", "ts", "record_id", "arrival_ts", "flags", *_usable(), late.cast("int").alias("late"))
        .repartition("device_id")
        .select(
            "*",
            fn.row_number().over(best_first).alias("place"),
            fn.count("*").over(whole).alias("records"),
            fn.sum((fn.col("flags") != 0).cast("int")).over(whole).alias("all_flagged"),
            fn.sum("late").over(whole).alias("all_late"),
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
            fn.col("all_flagged").alias("flagged"),
            fn.col("all_late").alias("late"),
        )
    )


def _usable() -> list[Column]:
    placed = _without(BAD_POSITION) & fn.col("lat").isNotNull() & fn.col("lon").isNotNull()
    return [
        fn.when(placed, fn.col("lat")).alias("lat"),
        fn.when(placed, fn.col("lon")).alias("lon"),
        fn.when(_without(Flag.IMPOSSIBLE_SPEED), _within("speed_kmh")).alias("speed_kmh"),
        _within("odometer_km").alias("odometer_km"),
        _within("fuel_rate_lph").alias("fuel_rate_lph"),
        fn.coalesce(fn.col("engine_on"), _within("engine_rpm") > 0).alias("engine"),
    ]


def _without(bits: int) -> Column:
    return fn.col("flags").bitwiseAND(int(bits)) == 0


def _within(name: str) -> Column:
    """The reading where it lies in the contract's bounds."""
    low, high = _BOUNDS[name]
    return fn.when(fn.col(name).between(low, high), fn.col(name))
