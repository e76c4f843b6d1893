"""One commit of a merge plan, in a snapshot that names the landing objects it merged.

The names are properties of the snapshot, atomic with the commit: a crash after it loses no record of them.
"""

import base64
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import uuid4

from pyspark.sql import SparkSession

from contracts.names import HISTORY_TABLE
from contracts.settings import LakeSettings
from lake.iceberg.conflicts import retry_conflicts
from lake.merge.landing import event_spans, one_row_an_identity, read_landing, with_columns_of
from lake.merge.plan import Kind, MergePlan
from lake.merge.spans import sql_condition
from lake.merge.statement import merge_statement
from lake.merge.suppressed import accepted

KIND = "fleetlake.merge"
OBJECTS = "fleetlake.objects"
_SHARED = "landing/telemetry/"
_PROPERTY = "spark.sql.iceberg.snapshot-property."


def commit_merge(spark: SparkSession, settings: LakeSettings, plan: MergePlan) -> None:
    """Merge the plan's objects into history in one snapshot that names them.

    Raises CommitConflict, PySparkException where an object cannot be read.
    """
    retry_conflicts(f"merge of {len(plan.objects)} landing objects", lambda: _merge_once(spark, settings, plan))


def _merge_once(spark: SparkSession, settings: LakeSettings, plan: MergePlan) -> None:
    rows = accepted(read_landing(spark, settings, plan.keys, plan.kind), settings)
    spans = event_spans(rows, plan.kind, plan.keys)
    table = spark.table(settings.spark_table(HISTORY_TABLE))
    source = with_columns_of(one_row_an_identity(rows.where(sql_condition("ts", spans))), table)
    view = f"landed_{uuid4().hex}"
    source.createOrReplaceTempView(view)
    try:
        with snapshot_properties(spark, merge_properties(plan.kind, plan.keys)):
            spark.sql(merge_statement(settings.spark_table(HISTORY_TABLE), view, spans))
    finally:
        spark.catalog.dropTempView(view)


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


def merge_properties(kind: Kind, keys: Sequence[str]) -> dict[str, str]:
    """Snapshot properties of a merge of these landing objects; keys are packed, some 30 bytes each."""
    text = "\n".join(key.removeprefix(_SHARED) for key in keys)
    return {KIND: kind.value, OBJECTS: base64.b64encode(zlib.compress(text.encode(), 9)).decode()}


def merged_objects(properties: Mapping[str, str]) -> tuple[Kind, list[str]] | None:
    """Kind and object keys that a snapshot's properties name; None where it is not a merge."""
    if KIND not in properties:
        return None
    text = zlib.decompress(base64.b64decode(properties[OBJECTS])).decode()
    return Kind(properties[KIND]), [_SHARED + key for key in text.split("\n")]
