"""The job Maintain: what keeps the tables cheap to read, beside merges and readers."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial

import structlog
from pyspark.sql import SparkSession

from contracts.errors import CommitConflict
from contracts.names import (
    DEVICE_DAY_TABLE,
    EPISODE_TABLE,
    FAULT_DAY_TABLE,
    HISTORY_TABLE,
    MOTION_HOUR_TABLE,
    TRIP_TABLE,
)
from contracts.settings import LakeSettings
from lake.derive.changed_days import harvest
from lake.iceberg.conflicts import retry_conflicts
from lake.iceberg.tables import ensure_tables, evolve_buckets, table
from lake.maintain.health import DayFiles, files_by_day, table_health
from lake.maintain.progress import record_health
from lake.maintain.prune import prune_ledger
from lake.merge.account import account_merges
from lake.merge.intake import watermark
from lake.merge.spans import Span, day_span, sql_condition
from lake.spark.scratch import sweep_scratch

log = structlog.get_logger()
TABLES = (HISTORY_TABLE, TRIP_TABLE, EPISODE_TABLE, FAULT_DAY_TABLE, DEVICE_DAY_TABLE, MOTION_HOUR_TABLE)
TARGET_BYTES = 128 * 2**20
"""Size at which a rewritten day's file is cut."""
WORTH_A_REWRITE = 2
"""A rewritten day is rewritten again once late commits have added so many files for each of its partitions."""
ORPHAN_AGE = timedelta(days=3)
"""A file that no snapshot names and that is younger may belong to a commit under way."""


def maintain(spark: SparkSession, settings: LakeSettings, *, days: int = 31) -> dict[str, int | float]:
    """Keep the region's tables in shape. Each step may be cut short and done again.

    days: at most so many closed days of history are rewritten, the newest first. Merges are accounted for and changed
    days harvested before any snapshot expires. Returns counts.
    """
    ensure_tables(settings)
    reached = watermark(settings)
    account_merges(settings)
    harvest(settings)
    before = table_health(table(settings, HISTORY_TABLE), HISTORY_TABLE)
    counts: dict[str, int | float] = {"partitions_changed": int(evolve_buckets(settings))}
    counts |= rewrite_closed_days(spark, settings, reached, days)
    for name in TABLES:
        counts[f"{_short(name)}_manifests_rewritten"] = _rewrite_manifests(spark, settings, name)
        counts[f"{_short(name)}_files_expired"] = expire_snapshots(spark, settings, name)
        counts[f"{_short(name)}_orphans_deleted"] = _delete_orphans(spark, settings, name)
    counts |= prune_ledger(settings)
    counts["scratch_folders_deleted"] = sweep_scratch(settings.state)
    after = [table_health(table(settings, name), name) for name in TABLES]
    record_health(settings, after)
    counts |= {"files_before": before.files, "files": after[0].files, "small_files": after[0].small_files}
    counts |= {"snapshots": after[0].snapshots, "delete_files": after[0].delete_files}
    log.info("maintained", region=settings.region, **counts)
    return counts


def days_to_rewrite(files: list[DayFiles], watermark: datetime | None) -> list[date]:
    """The closed days whose files are worth a rewrite, newest first. Pure.

    A UTC day is closed once the watermark is past it: late records come in commits of their own. It is worth a rewrite
    where a file is in an old partition layout, where rows are marked as deleted, or where each partition has
    WORTH_A_REWRITE files too many.
    """
    if watermark is None:
        return []
    closed = [one for one in files if one.day < watermark.date()]
    worth = [
        one.day
        for one in closed
        if one.old_spec or one.delete_files or one.surplus >= WORTH_A_REWRITE * max(len(one.partitions), 1)
    ]
    return sorted(worth, reverse=True)


def rewrite_closed_days(
    spark: SparkSession, settings: LakeSettings, watermark: datetime | None, most: int
) -> dict[str, int | float]:
    """Rewrite closed days of history, each in a commit of its own, sorted by device and time.

    A day that a merge touches meanwhile is left for the next time.
    """
    due = days_to_rewrite(files_by_day(table(settings, HISTORY_TABLE)), watermark)
    done = conflicts = 0
    for day in due[:most]:
        try:
            retry_conflicts(f"rewrite of {day}", partial(rewrite_day, spark, settings, day))
            retry_conflicts(f"deletes of {day}", partial(drop_deletes, spark, settings, day))
            done += 1
        except CommitConflict:
            conflicts += 1
            log.warning("day not rewritten: merges touch it", region=settings.region, day=str(day))
    return {"days_rewritten": done, "days_in_use": conflicts, "days_waiting": len(due) - done - conflicts}


def without_delete_files(spark: SparkSession, settings: LakeSettings, times: Sequence[Span]) -> None:
    """Rewrite those UTC days within these times in which rows are only marked as deleted."""
    for found in files_by_day(table(settings, HISTORY_TABLE)):
        day = day_span(found.day)
        if found.delete_files and any(one.start < day.end and day.start < one.end for one in times):
            retry_conflicts(f"rewrite of {found.day}", partial(rewrite_day, spark, settings, found.day))
            retry_conflicts(f"deletes of {found.day}", partial(drop_deletes, spark, settings, found.day))


def rewrite_day(spark: SparkSession, settings: LakeSettings, day: date) -> None:
    """Rewrite a UTC day of history, sorted by device and time."""
    where = sql_condition("ts", [day_span(day)])
    spec = table(settings, HISTORY_TABLE).spec().spec_id
    name = settings.identifier(HISTORY_TABLE)
    spark.sql(
        f"call {settings.region}.system.rewrite_data_files(table => '{name}', strategy => 'sort',"
        f" sort_order => 'device_id ASC NULLS FIRST, ts ASC NULLS FIRST', where => \"{where}\", options => map("
        f"'rewrite-all', 'true', 'target-file-size-bytes', '{TARGET_BYTES}', 'output-spec-id', '{spec}',"
        " 'max-concurrent-file-group-rewrites', '1'))"
    ).collect()


def drop_deletes(spark: SparkSession, settings: LakeSettings, day: date) -> None:
    """Drop the day's position deletes of files that its rewrite replaced."""
    if not any(one.delete_files for one in files_by_day(table(settings, HISTORY_TABLE)) if one.day == day):
        return
    where = sql_condition("ts", [day_span(day)])
    spark.sql(
        f"call {settings.region}.system.rewrite_position_delete_files(table => '{settings.identifier(HISTORY_TABLE)}',"
        f" where => \"{where}\", options => map('rewrite-all', 'true'))"
    ).collect()


def _rewrite_manifests(spark: SparkSession, settings: LakeSettings, name: str) -> int:
    found = table(settings, name)
    snapshot = found.current_snapshot()
    if snapshot is None or len(snapshot.manifests(found.io)) < 2 * WORTH_A_REWRITE:
        return 0
    query = f"call {settings.region}.system.rewrite_manifests('{settings.identifier(name)}')"
    row = retry_conflicts(f"rewrite of {name}'s manifests", lambda: spark.sql(query).first())
    return int(row["rewritten_manifests_count"]) if row else 0


def expire_snapshots(spark: SparkSession, settings: LakeSettings, name: str, now: datetime | None = None) -> int:
    """Expire a table's snapshots older than `snapshot_keep_h`, the current one never; data files deleted with them."""
    if table(settings, name).current_snapshot() is None:
        return 0
    older = (now or datetime.now(UTC)) - timedelta(hours=settings.snapshot_keep_h)
    query = (
        f"call {settings.region}.system.expire_snapshots(table => '{settings.identifier(name)}', retain_last => 1,"
        f" older_than => TIMESTAMP '{older:%Y-%m-%d %H:%M:%S.%f}')"
    )
    row = retry_conflicts(f"expiry of {name}'s snapshots", lambda: spark.sql(query).first())
    return int(row["deleted_data_files_count"]) if row else 0


def _delete_orphans(spark: SparkSession, settings: LakeSettings, name: str) -> int:
    older = datetime.now(UTC) - ORPHAN_AGE
    query = (
        f"call {settings.region}.system.remove_orphan_files(table => '{settings.identifier(name)}',"
        f" prefix_listing => true, older_than => TIMESTAMP '{older:%Y-%m-%d %H:%M:%S.%f}')"
    )
    return len(spark.sql(query).collect())


def _short(name: str) -> str:
    return name.rsplit(".", maxsplit=1)[-1]
