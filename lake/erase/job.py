"""Takes a scope out of the Iceberg tables, in Spark. Each step may be killed and done again."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import partial
from uuid import uuid4

import structlog
from pyarrow import fs
from pyspark.sql import SparkSession

from contracts.erasable import Scope
from contracts.names import HISTORY_TABLE
from contracts.settings import LakeSettings
from lake.derive.changed_days import DERIVED_TOO, harvest
from lake.derive.job import derive_days
from lake.derive.progress import due_days
from lake.erase.meant import condition, rows_in_file
from lake.iceberg.conflicts import retry_conflicts
from lake.iceberg.partitions import day_of
from lake.iceberg.tables import table
from lake.maintain.job import drop_deletes, rewrite_day
from lake.merge.account import ERASED, account_merges
from lake.merge.commit import snapshot_properties
from lake.merge.turns import no_merge

log = structlog.get_logger()


def erase_rows(spark: SparkSession, settings: LakeSettings, scope: Scope, names: Sequence[str]) -> None:
    """Delete the scope's rows, and every snapshot, manifest and file that had them.

    Days that a range touches are derived again. Raises CommitConflict.
    """
    with no_merge(settings):
        for name in names:
            retry_conflicts(f"erasure from {name}", partial(_delete, spark, settings, scope, name))
        account_merges(settings)
        harvest(settings)
        for day in _days_with_hidden_rows(settings, scope):
            retry_conflicts(f"rewrite of {day}", partial(rewrite_day, spark, settings, day))
            retry_conflicts(f"deletes of {day}", partial(drop_deletes, spark, settings, day))
        account_merges(settings)
        harvest(settings)
        if scope.ranges:
            derive_days(spark, settings, due_days(settings))
        for name in names:
            _forget_past(spark, settings, name)
    log.info("erased from history", region=settings.region, request=scope.request_id)


def _delete(spark: SparkSession, settings: LakeSettings, scope: Scope, name: str) -> None:
    if table(settings, name).current_snapshot() is None:
        return

    properties = {ERASED: scope.request_id or uuid4().hex} if name == HISTORY_TABLE else {}
    if properties and not scope.ranges:
        # The derived tables lose the same devices in this run: nothing is left to derive again.
        properties[DERIVED_TOO] = "yes"
    with snapshot_properties(spark, properties):
        # The condition is made of checked device ids and times alone.
        where = condition(scope, name, settings.row.zone)
        spark.sql(f"delete from {settings.region}.{name} where {where}")  # noqa: S608


def _days_with_hidden_rows(settings: LakeSettings, scope: Scope) -> list[date]:
    """UTC days of history with a data file that holds a row of the scope still, marked as deleted by a merge."""
    found = table(settings, HISTORY_TABLE)
    snapshot = found.current_snapshot()
    if snapshot is None:
        return []
    store = fs.S3FileSystem(**settings.s3.filesystem_kwargs(settings.row.aws_region))
    days = set()
    for manifest in snapshot.manifests(found.io):
        for entry in manifest.fetch_manifest_entry(found.io, discard_deleted=True):
            path = entry.data_file.file_path.removeprefix("s3://")
            day = day_of(found, entry)
            if day not in days and path.endswith(".parquet") and rows_in_file(store, path, scope):
                days.add(day)
    return sorted(days)


def _forget_past(spark: SparkSession, settings: LakeSettings, name: str) -> None:
    """Expire all but the present snapshot, rewrite the manifests, and expire the one before that."""
    if table(settings, name).current_snapshot() is None:
        return
    for ref in table(settings, name).metadata.refs:
        if ref != "main":
            kind = table(settings, name).metadata.refs[ref].snapshot_ref_type.value
            spark.sql(f"alter table {settings.region}.{name} drop {kind} `{ref}`")
    _expire(spark, settings, name)
    query = f"call {settings.region}.system.rewrite_manifests('{name}')"
    retry_conflicts(f"rewrite of {name}'s manifests", lambda: spark.sql(query).collect())
    if name == HISTORY_TABLE:
        # The harvest's cursor moves on before the snapshot that it names expires.
        account_merges(settings)
        harvest(settings)
    _expire(spark, settings, name)


def _expire(spark: SparkSession, settings: LakeSettings, name: str) -> None:
    older = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"
    query = (
        f"call {settings.region}.system.expire_snapshots(table => '{name}', retain_last => 1,"
        f" older_than => TIMESTAMP '{older}')"
    )
    retry_conflicts(f"expiry of {name}'s snapshots", lambda: spark.sql(query).collect())
