"""Derived tables, replaced day by day where their rows differ."""

from collections.abc import Iterable, Sequence
from datetime import date
from functools import reduce

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as fn

from lake.business_days import runs_of

SOURCE_SEQUENCE = "fleetlake.source-sequence"
"""Snapshot property: the sequence number of the history that the rows were derived from."""


def in_days(days: Iterable[date]) -> Column:
    """Whether column `day` is one of these."""
    ranges = [fn.col("day").between(fn.lit(first), fn.lit(last)) for first, last in runs_of(days)]
    return reduce(lambda one, other: one | other, ranges)


def differing(new: DataFrame, old: DataFrame, columns: Sequence[str]) -> dict[date, int]:
    """The days on which two frames do not hold the same rows, each with its rows in `new`."""
    fresh, stored = _digests(new, columns), _digests(old, columns)
    return {day: fresh.get(day, (0, 0))[0] for day in fresh.keys() | stored.keys() if fresh.get(day) != stored.get(day)}


def _digests(frame: DataFrame, columns: Sequence[str]) -> dict[date, tuple[int, int]]:
    """Rows and the combined hash of the rows, by day. Rows are distinct, so none cancels another."""
    rows = frame.groupBy("day").agg(fn.count("*").alias("rows"), fn.bit_xor(fn.xxhash64(*columns)).alias("hash"))
    return {row["day"]: (row["rows"], row["hash"]) for row in rows.collect()}


def read_as_of(spark: SparkSession, name: str, snapshot_id: int | None, schema: pa.Schema) -> DataFrame:
    """A derived table at a snapshot, in the schema's columns; at none, an empty frame."""
    table = spark.table(name) if snapshot_id is None else spark.read.option("snapshot-id", snapshot_id).table(name)
    rows = table.select(*schema.names)
    return rows.limit(0) if snapshot_id is None else rows


def replace_days(rows: DataFrame, name: str, days: Sequence[date], since: int | None, sequence: int) -> None:
    """Replace these days of the table, unless another commit touched them since snapshot `since` (a conflict).

    rows: of these days alone. The commit carries SOURCE_SEQUENCE.
    """
    writer = rows.writeTo(name).option("isolation-level", "serializable")
    writer = writer.option(f"snapshot-property.{SOURCE_SEQUENCE}", str(sequence))
    if since is not None:
        writer = writer.option("validate-from-snapshot-id", str(since))
    writer.overwrite(in_days(days))
