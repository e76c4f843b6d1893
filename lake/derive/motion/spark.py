"""Motion on Spark: it reads, brings each device's rows together in order, and hands them to the compiled rules."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as fn
from pyspark.sql.pandas.types import from_arrow_schema

from contracts.derived import DEVICE_DAY_SCHEMA, EPISODE_SCHEMA, TRIP_SCHEMA
from contracts.names import DEVICE_DAY_TABLE, EPISODE_TABLE, TRIP_TABLE
from lake.derive.motion.device_days import EPISODES, MADE_SCHEMA, TRIPS, Calendar, days_with_rows, derive_ordered
from lake.derive.motion.readings import READ, device_starts, require
from lake.derive.motion.rules import TripRules

_ROWS_AT_ONCE = 200_000
"""Rows that are gathered before the devices that are whole among them are derived. One device may have more."""


def to_device_days(rows: DataFrame, rules: TripRules, days: Sequence[date] | None = None) -> DataFrame:
    """Device days with their trips and episodes, in the columns of MADE_SCHEMA.

    rows: the columns READ of history, any order. days: those to make, all that have a row if None.
    Raises SchemaMismatch where a column is missing.
    """
    require(rows.columns)
    by_device = rows.select(*READ).repartition("device_id")
    ordered = by_device.sortWithinPartitions("device_id", "ts", "arrival_ts", "record_id")

    def made(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for whole in whole_devices(batches):
            calendar = Calendar(days if days is not None else days_with_rows(whole, rules), rules)
            yield from derive_ordered(whole, calendar, rules).to_batches()

    return ordered.mapInArrow(made, from_arrow_schema(MADE_SCHEMA))


def split(made: DataFrame) -> dict[str, DataFrame]:
    """The derived tables, by name, of what `to_device_days` made."""
    lists = ((TRIP_TABLE, TRIPS, TRIP_SCHEMA), (EPISODE_TABLE, EPISODES, EPISODE_SCHEMA))
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
