"""Motion on Spark: it reads, brings each device's rows together in order, and hands them to the compiled rules."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import pairwise

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as fn
from pyspark.sql.pandas.types import from_arrow_schema

from contracts.derived import (
    DEVICE_DAY_SCHEMA,
    EPISODE_SCHEMA,
    FAULT_DAY_SCHEMA,
    MOTION_HOUR_SCHEMA,
    TRIP_SCHEMA,
)
from contracts.names import DEVICE_DAY_TABLE, EPISODE_TABLE, FAULT_DAY_TABLE, TRIP_TABLE
from lake.derive.motion.device_days import (
    EPISODES,
    FAULTS,
    MADE_SCHEMA,
    TRIPS,
    Calendar,
    DeviceReadings,
    days_with_rows,
    derive_devices,
    derive_ordered,
    device_readings,
)
from lake.derive.motion.faults import as_rows, from_rows, within
from lake.derive.motion.packing import HOUR_US, hours_of, pack, unpack
from lake.derive.motion.readings import READ, device_starts, require
from lake.derive.motion.rules import TripRules

_ROWS_AT_ONCE = 200_000
"""Rows that are gathered before the devices that are whole among them are derived. One device may have more."""
_HOURS_AT_ONCE = 2_000
"""Likewise packed hours, which have some hundred moments each."""


def to_device_days(rows: DataFrame, rules: TripRules, days: Sequence[date] | None = None) -> DataFrame:
    """Device days with their trips, episodes and fault days, in the columns of MADE_SCHEMA.

    rows: the columns READ of history, any order. days: those to make, all that have a row if None.
    Raises SchemaMismatch where a column is missing.
    """

    def made(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for whole in whole_devices(batches):
            calendar = Calendar(days if days is not None else days_with_rows(whole, rules), rules)
            yield from derive_ordered(whole, calendar, rules).to_batches()

    return _by_device(rows).mapInArrow(made, from_arrow_schema(MADE_SCHEMA))


def to_motion_hours(rows: DataFrame) -> DataFrame:
    """Packed hours, in the columns of MOTION_HOUR_SCHEMA, of rows as `to_device_days` takes them."""

    def packed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for whole in whole_devices(batches):
            made = [
                {
                    "device_id": device_id,
                    "hour": hour_us,
                    "moments": pack(hour_us, of_hour),
                    "faults": as_rows(within(faults, hour_us, hour_us + HOUR_US)),
                }
                for device_id, moments, faults in device_readings(whole)
                for hour_us, of_hour in hours_of(moments)
            ]
            yield from pa.Table.from_pylist(made, schema=MOTION_HOUR_SCHEMA).to_batches()

    return _by_device(rows).mapInArrow(packed, from_arrow_schema(MOTION_HOUR_SCHEMA))


def hours_to_device_days(hours: DataFrame, rules: TripRules, days: Sequence[date]) -> DataFrame:
    """Device days as `to_device_days` makes them, of packed hours: those of all moments that the days depend on."""
    ordered = hours.repartition("device_id").sortWithinPartitions("device_id", "hour")

    def made(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        calendar = Calendar(days, rules)
        for whole in whole_devices(batches, _HOURS_AT_ONCE):
            yield from derive_devices(_unpacked(whole), calendar, rules).to_batches()

    return ordered.mapInArrow(made, from_arrow_schema(MADE_SCHEMA))


def _unpacked(hours: pa.Table) -> Iterator[DeviceReadings]:
    starts = device_starts(hours).tolist()
    for start, end in pairwise(starts):
        own = hours.slice(start, end - start)
        moments, faults = unpack(own["moments"].to_pylist()), from_rows(own["faults"].to_pylist())
        yield DeviceReadings(hours["device_id"][start].as_py(), moments, faults)


def _by_device(rows: DataFrame) -> DataFrame:
    require(rows.columns)
    by_device = rows.select(*READ).repartition("device_id")
    return by_device.sortWithinPartitions("device_id", "ts", "arrival_ts", "record_id")


def split(made: DataFrame) -> dict[str, DataFrame]:
    """The derived tables, by name, of what `to_device_days` made."""
    lists = (
        (TRIP_TABLE, TRIPS, TRIP_SCHEMA),
        (EPISODE_TABLE, EPISODES, EPISODE_SCHEMA),
        (FAULT_DAY_TABLE, FAULTS, FAULT_DAY_SCHEMA),
    )
    listed = {
        name: made.select(fn.explode(column).alias("row")).select("row.*").select(*schema.names)
        for name, column, schema in lists
    }
    return listed | {DEVICE_DAY_TABLE: made.select(*DEVICE_DAY_SCHEMA.names)}


def whole_devices(batches: Iterable[pa.RecordBatch], at_once: int = _ROWS_AT_ONCE) -> Iterator[pa.Table]:
    """The batches as tables that end where a device's rows end."""
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        waiting.append(batch)
        count += batch.num_rows
        if count < at_once:
            continue
        gathered = pa.Table.from_batches(waiting)
        last = int(device_starts(gathered)[-2])
        if last:
            yield gathered.slice(0, last)
            rest = gathered.slice(last).combine_chunks()
            waiting, count = rest.to_batches(), rest.num_rows
    if count:
        yield pa.Table.from_batches(waiting)
