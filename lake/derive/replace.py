"""Derived tables, replaced day by day where their rows differ."""

from collections.abc import Iterable, Sequence
from datetime import date
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from lake.derive.business_days import runs_of

SOURCE_SEQUENCE = "fleetlake.source-sequence"
"""Snapshot property: the sequence number of the history that the rows were derived from."""


def in_days(days: Iterable[date]) -> Column:
    """Whether column `day` is one of these."""
    ranges = [fn.col("day").between(fn.lit(first), fn.lit(last)) for first, last in runs_of(days)]
    return reduce(lambda one, other: one | other, ranges)


def differing(new: DataFrame, old: DataFrame | None, columns: Sequence[str]) -> dict[date, int]:
    """The days on which two frames (no `old` one is an empty one) differ in their rows, each with its rows in `new`."""
    fresh, stored = _digests(new, columns), _digests(old, columns) if old is not None else {}
    return {day: fresh.get(day, (0, 0))[0] for day in fresh.keys() | stored.keys() if fresh.get(day) != stored.get(day)}


def _digests(frame: DataFrame, columns: Sequence[str]) -> dict[date, tuple[int, int]]:
    """Rows and the combined hash of the rows, by day. Rows are distinct, so none cancels another.

    Spark's hash skips nulls: without the flags a value that moves from one column to the next would not be seen.
    """
    hashed = fn.xxhash64(*columns, *(fn.isnull(column) for column in columns))
    rows = frame.groupBy("day").agg(fn.count("*").alias("rows"), fn.bit_xor(hashed).alias("hash"))
    return {row["day"]: (row["rows"], row["hash"]) for row in rows.collect()}


def replace_days(rows: DataFrame, name: str, days: Sequence[date], since: int | None, sequence: int) -> None:
    """Replace these days of the table, unless another commit touched them since snapshot `since` (a conflict).

    rows: of these days alone. The commit carries SOURCE_SEQUENCE.
    """
    writer = rows.writeTo(name).option("isolation-level", "serializable")
    writer = writer.option(f"snapshot-property.{SOURCE_SEQUENCE}", str(sequence))
    if since is not None:
        writer = writer.option("validate-from-snapshot-id", str(since))
    writer.overwrite(in_days(days))
