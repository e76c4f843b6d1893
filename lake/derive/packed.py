"""history.motion_hour: the hours of history packed for days that fill up, written and read by Spark."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import reduce

import structlog
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as fn

from contracts.names import MOTION_HOUR_TABLE
from contracts.settings import LakeSettings
from lake.derive.hours import ONE_HOUR, Packing, mark_packed
from lake.derive.motion.spark import to_motion_hours
from lake.derive.replace import SOURCE_SEQUENCE
from lake.derive.source import Pinned, read_history
from lake.merge.spans import Span, joined

log = structlog.get_logger()


def harvested(packing: Packing) -> Pinned:
    """The snapshot of history that the hours are packed from."""
    return Pinned(packing.harvested.snapshot_id, packing.harvested.sequence)


def pack_hours(spark: SparkSession, settings: LakeSettings, packing: Packing, since: int | None) -> None:
    """Replace the hours that are due by what history says of them, in one commit that also drops old hours.

    A commit of another run after the table's snapshot `since` (None: it had none) is a conflict, as that run's hours
    may be newer than these. `since` must have been read before `packing` was made.
    """
    if not packing.due:
        return
    name = settings.spark_table(MOTION_HOUR_TABLE)
    spans = joined(Span(hour, hour + ONE_HOUR) for hour in packing.due)
    made = to_motion_hours(read_history(spark, settings, harvested(packing), spans))
    due = {hour.astimezone(UTC) for hour in packing.due}
    made = made.where(_in_hours(due))
    writer = made.writeTo(name).option("isolation-level", "serializable")
    writer = writer.option(f"snapshot-property.{SOURCE_SEQUENCE}", str(packing.harvested.sequence))
    if since is not None:
        writer = writer.option("validate-from-snapshot-id", str(since))
    writer.overwrite(_in_hours(due) | (fn.col("hour") < fn.lit(packing.forget_before)))
    mark_packed(settings, packing)
    log.info("packed", region=settings.region, hours=len(due), sequence=packing.harvested.sequence)


def read_hours(spark: SparkSession, settings: LakeSettings, spans: Sequence[Span]) -> DataFrame:
    """The packed hours that touch the spans, columns of MOTION_HOUR_SCHEMA."""
    touching = [(fn.col("hour") > fn.lit(one.start - ONE_HOUR)) & (fn.col("hour") < fn.lit(one.end)) for one in spans]
    hours = spark.read.table(settings.spark_table(MOTION_HOUR_TABLE))
    return hours.where(reduce(lambda one, other: one | other, touching))


def _in_hours(hours: Iterable[datetime]) -> Column:
    spans = joined(Span(hour, hour + ONE_HOUR) for hour in hours)
    ranges = [(fn.col("hour") >= fn.lit(span.start)) & (fn.col("hour") < fn.lit(span.end)) for span in spans]
    return reduce(lambda one, other: one | other, ranges)
