"""The job DeriveDays."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID, uuid4

import pyarrow as pa
import structlog
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession

from contracts.derived import DEVICE_DAY_SCHEMA, EPISODE_SCHEMA, TRIP_SCHEMA
from contracts.names import DEVICE_DAY_TABLE, EPISODE_TABLE, TRIP_TABLE
from contracts.settings import LakeSettings
from lake.derive.changed_days import harvest
from lake.derive.motion.rules import TripRules, trip_rules
from lake.derive.motion.spark import split, to_device_days
from lake.derive.progress import begin, derivation_state, due_days, finish
from lake.derive.replace import differing, in_days, replace_days
from lake.derive.source import pin, read_history, spans_of
from lake.iceberg.conflicts import retry_conflicts
from lake.iceberg.tables import ensure_tables, table

log = structlog.get_logger()
_SCHEMAS: dict[str, pa.Schema] = {
    TRIP_TABLE: TRIP_SCHEMA,
    EPISODE_TABLE: EPISODE_SCHEMA,
    DEVICE_DAY_TABLE: DEVICE_DAY_SCHEMA,
}


def derive(rows: DataFrame, rules: TripRules, days: Sequence[date] | None = None) -> dict[str, DataFrame]:
    """Trips, episodes and device days of these days (all if None), by table, of rows of history. Pure."""
    return split(to_device_days(rows, rules, days).persist(StorageLevel.MEMORY_AND_DISK))


def derive_days(
    spark: SparkSession, settings: LakeSettings, days: Sequence[date], *, again: bool = False
) -> dict[str, int | float]:
    """Derive those of the business `days` that are stale (with `again`, all), and replace what differs.

    Reads one snapshot of history for all of them. Returns counts: days asked for, derived, changed (their rows
    differ), and rows of each derived table in the changed days.
    Raises CommitConflict.
    """
    ensure_tables(settings)
    harvest(settings)
    wanted, run = set(days), uuid4()
    return retry_conflicts("derivation", lambda: _derive_once(spark, settings, run, wanted, again=again))


def _derive_once(
    spark: SparkSession, settings: LakeSettings, run: UUID, wanted: set[date], *, again: bool
) -> dict[str, int | float]:
    stale = sorted(wanted if again else wanted.intersection(due_days(settings)))
    # In this order: rows that another run wrote by `before` come from no newer history than `pinned`, and rows that
    # it writes after are a conflict.
    known = derivation_state(settings, stale)
    before = {name: _snapshot_id(settings, name) for name in _SCHEMAS}
    pinned = pin(settings)
    counts: dict[str, int | float] = {"days": len(wanted), "derived": len(stale), "changed": 0}
    if not stale or pinned is None:
        return counts
    rules = trip_rules(settings)
    rows = read_history(spark, settings.region, pinned, spans_of(stale, rules))
    frames = derive(rows, rules, stale)
    try:
        changed = _differing(spark, settings, frames, before, stale)
        every = set().union(*changed.values())
        begin(settings, run, every)
        for name, at in changed.items():
            if at:
                target = f"{settings.region}.{name}"
                replace_days(frames[name].where(in_days(at)), target, sorted(at), before[name], pinned.sequence)
        finish(settings, run, stale, every | known.suspect, pinned.sequence, known)
    finally:
        spark.catalog.clearCache()
    log.info("derived", region=settings.region, days=len(stale), changed=len(every), sequence=pinned.sequence)
    return counts | {"changed": len(every)} | _rows(changed)


def _differing(
    spark: SparkSession,
    settings: LakeSettings,
    frames: dict[str, DataFrame],
    before: dict[str, int | None],
    days: Sequence[date],
) -> dict[str, dict[date, int]]:
    found = {}
    for name, schema in _SCHEMAS.items():
        snapshot_id, old = before[name], None
        if snapshot_id is not None:
            table_then = spark.read.option("snapshot-id", snapshot_id).table(f"{settings.region}.{name}")
            old = table_then.where(in_days(days))
        found[name] = differing(frames[name], old, schema.names)
    return found


def _snapshot_id(settings: LakeSettings, name: str) -> int | None:
    snapshot = table(settings, name).current_snapshot()
    return None if snapshot is None else snapshot.snapshot_id


def _rows(changed: dict[str, dict[date, int]]) -> dict[str, int | float]:
    return {f"{name.split('.')[-1]}_rows": sum(at.values()) for name, at in changed.items()}
