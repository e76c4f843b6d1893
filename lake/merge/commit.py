"""One commit of a merge plan."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from uuid import uuid4

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts.settings import RegionSettings
from lake.conflicts import retry_conflicts
from lake.merge.landing import one_row_an_identity, read_landing
from lake.merge.plan import Kind, MergePlan
from lake.merge.properties import merge_properties
from lake.merge.spans import Span, day_span, joined, on_time_span, sql_condition
from lake.merge.statement import merge_statement

_PROPERTY = "spark.sql.iceberg.snapshot-property."


def commit_merge(spark: SparkSession, settings: RegionSettings, plan: MergePlan) -> None:
    """Merge the plan's objects into history in one snapshot that names them.

    Raises CommitConflict, NotReconciled (a listed object is not there).
    """
    retry_conflicts(f"merge of {len(plan.objects)} landing objects", lambda: _merge_once(spark, settings, plan))


def _merge_once(spark: SparkSession, settings: RegionSettings, plan: MergePlan) -> None:
    rows = read_landing(spark, settings, plan.keys, plan.kind)
    spans = _spans(rows, plan)
    source = one_row_an_identity(rows.where(sql_condition("ts", spans)))
    view = f"landed_{uuid4().hex}"
    source.createOrReplaceTempView(view)
    try:
        with snapshot_properties(spark, merge_properties(plan.kind, plan.keys)):
            spark.sql(merge_statement(settings.region, view, spans))
    finally:
        spark.catalog.dropTempView(view)


def _spans(rows: DataFrame, plan: MergePlan) -> list[Span]:
    """Where the plan's event times lie: known by the hours for rows on time, looked up for stragglers."""
    if plan.kind is Kind.ON_TIME:
        return joined(on_time_span(hour) for hour in plan.hours)
    days = rows.select(F.to_date("ts").alias("day")).distinct().collect()
    return joined(day_span(row.day) for row in days)


@contextmanager
def snapshot_properties(spark: SparkSession, properties: Mapping[str, str]) -> Iterator[None]:
    """Every snapshot that this session commits within the block carries the properties.

    They are settings of the session, so a session commits one thing at a time.
    """
    for name, value in properties.items():
        spark.conf.set(_PROPERTY + name, value)
    try:
        yield
    finally:
        for name in properties:
            spark.conf.unset(_PROPERTY + name)
