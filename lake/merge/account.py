"""What merge commits did: objects marked as merged, and a row of counts for each commit.

Works from the snapshots alone, so it makes no difference whether the run that committed them is still there.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import psycopg
from pyiceberg.table.snapshots import Snapshot
from pyspark.sql import SparkSession
from pyspark.sql import functions as fn

from contracts.errors import NotReconciled
from contracts.identity import IDENTITY
from contracts.names import HISTORY_TABLE
from contracts.settings import RegionSettings
from lake.database import transaction
from lake.iceberg.partitions import gained_rows
from lake.iceberg.tables import history
from lake.merge.commit import merged_objects
from lake.merge.landing import event_spans, read_landing
from lake.merge.plan import Kind
from lake.merge.progress import MergeCounts, accounted_snapshots, add_merge, mark_merged
from lake.merge.spans import sql_condition


def account_merges(spark: SparkSession, settings: RegionSettings) -> list[MergeCounts]:
    """Account for every merge snapshot of history that ops.merge does not have, oldest first.

    Raises NotReconciled where a commit did not hold what the ledger says it read.
    """
    with transaction(settings) as connection:
        known = accounted_snapshots(connection)
        snapshots = sorted(history(settings).metadata.snapshots, key=lambda one: one.sequence_number or 0)
        fresh = [one for one in snapshots if one.snapshot_id not in known and merged_objects(_properties(one))]
        return [_account(spark, settings, connection, snapshot) for snapshot in fresh]


def _account(
    spark: SparkSession, settings: RegionSettings, connection: psycopg.Connection, snapshot: Snapshot
) -> MergeCounts:
    named = merged_objects(_properties(snapshot))
    if named is None:
        raise NotReconciled(f"snapshot {snapshot.snapshot_id} of {HISTORY_TABLE} is not a merge")
    kind, keys = named
    committed = datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC)
    marked = mark_merged(connection, kind, keys, committed)
    counts = _count(spark, settings, snapshot, kind, marked)
    expected = sum(marked.values())
    if counts.rows_read != expected or counts.rows_read != counts.inserted + counts.duplicates:
        raise NotReconciled(
            f"snapshot {snapshot.snapshot_id} of {HISTORY_TABLE}: the ledger has {expected} rows, landing "
            f"{counts.rows_read}, of which {counts.inserted} were inserted and {counts.duplicates} were there before"
        )
    add_merge(connection, counts, committed)
    return counts


def _count(
    spark: SparkSession, settings: RegionSettings, snapshot: Snapshot, kind: Kind, marked: Mapping[str, int]
) -> MergeCounts:
    """Inserted by the snapshot's own summary; duplicates by comparing landing with history as it was before."""
    inserted = gained_rows(snapshot)
    if not marked:
        return MergeCounts(snapshot.snapshot_id, kind, 0, 0, inserted, -inserted)
    read, duplicates = _duplicates(spark, settings, snapshot.parent_snapshot_id, kind, sorted(marked))
    return MergeCounts(snapshot.snapshot_id, kind, len(marked), read, inserted, duplicates)


def _duplicates(
    spark: SparkSession, settings: RegionSettings, before: int | None, kind: Kind, keys: Sequence[str]
) -> tuple[int, int]:
    """Rows of the objects, and how many of them are not the first of an identity new to snapshot `before`."""
    rows = read_landing(spark, settings, keys, kind).select(*IDENTITY)
    identities = rows.groupBy(*IDENTITY).agg(fn.count("*").alias("times"))
    if before is None:
        counted = identities.select("times", fn.lit(None).alias("seen"))
    else:
        table = spark.read.option("snapshot-id", before).table(f"{settings.region}.{HISTORY_TABLE}")
        earlier = table.where(sql_condition("ts", event_spans(rows, kind, keys)))
        seen = earlier.select(*IDENTITY, fn.lit(1).alias("seen"))
        counted = identities.join(seen, list(IDENTITY), "left").select("times", "seen")
    fresh = fn.when(fn.col("seen").isNull(), 1).otherwise(0)
    total, new = counted.agg(fn.sum("times"), fn.sum(fresh)).first() or (0, 0)
    return int(total or 0), int(total or 0) - int(new or 0)


def _properties(snapshot: Snapshot) -> dict[str, str]:
    return dict(snapshot.summary.additional_properties) if snapshot.summary else {}
