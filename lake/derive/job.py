"""The job DeriveDays."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from functools import partial, reduce
from uuid import UUID, uuid4

import pyarrow as pa
import structlog
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession

from contracts.derived import DEVICE_DAY_SCHEMA, EPISODE_SCHEMA, FAULT_DAY_SCHEMA, TRIP_SCHEMA
from contracts.names import DEVICE_DAY_TABLE, EPISODE_TABLE, FAULT_DAY_TABLE, MOTION_HOUR_TABLE, TRIP_TABLE
from contracts.settings import LakeSettings
from lake.derive.batches import ROWS_A_GIB, in_batches
from lake.derive.changed_days import harvest
from lake.derive.fleet_rules import with_fleets
from lake.derive.hours import Packing, days_that_fill_up, plan_packing, rows_within
from lake.derive.motion.rules import TripRules, trip_rules
from lake.derive.motion.spark import hours_to_device_days, split, to_device_days
from lake.derive.packed import harvested, pack_hours, read_hours
from lake.derive.progress import begin, derivation_state, due_days, finish
from lake.derive.replace import differing, in_days, replace_days
from lake.derive.source import Pinned, pin, read_history, spans_of
from lake.iceberg.conflicts import retry_conflicts
from lake.iceberg.partitions import rows_by_day
from lake.iceberg.tables import ensure_tables, history, table
from lake.spark.session import memory_gib

log = structlog.get_logger()
_SCHEMAS: dict[str, pa.Schema] = {
    TRIP_TABLE: TRIP_SCHEMA,
    EPISODE_TABLE: EPISODE_SCHEMA,
    FAULT_DAY_TABLE: FAULT_DAY_SCHEMA,
    DEVICE_DAY_TABLE: DEVICE_DAY_SCHEMA,
}


_FEW_DAYS = 4
"""So few are one batch."""


def derive(rows: DataFrame, rules: TripRules, days: Sequence[date] | None = None) -> dict[str, DataFrame]:
    """The derived tables of these days (all if None), by name, of rows of history. Pure."""
    return split(to_device_days(rows, rules, days).persist(StorageLevel.MEMORY_AND_DISK))


def derive_days(
    spark: SparkSession, settings: LakeSettings, days: Sequence[date], *, again: bool = False
) -> dict[str, int | float]:
    """Derive those of the business `days` that are stale (with `again`, all), and replace what differs.

    Many days are derived in batches, today first; each batch reads one snapshot of history and is committed before
    the next. Returns counts: days asked for, derived, changed (their rows differ), and rows of each derived table in
    the changed days.
    Raises CommitConflict.
    """
    ensure_tables(settings)
    harvest(settings)
    run, wanted = uuid4(), set(days)
    counts: Counter[str] = Counter({"days": len(wanted), "derived": 0, "changed": 0})
    for batch in _batches(spark, settings, wanted if again else wanted.intersection(due_days(settings))):
        attempt = partial(_derive_once, spark, settings, run, set(batch), again=again)
        counts.update(retry_conflicts("derivation", attempt))
    return dict(counts)


def _batches(spark: SparkSession, settings: LakeSettings, stale: set[date]) -> list[list[date]]:
    if len(stale) <= _FEW_DAYS:
        return [sorted(stale)] if stale else []
    most_rows = int(memory_gib(spark) * ROWS_A_GIB)
    return in_batches(
        stale, rows_by_day(history(settings)), most_rows, first=days_that_fill_up(settings, sorted(stale))
    )


def _derive_once(
    spark: SparkSession, settings: LakeSettings, run: UUID, wanted: set[date], *, again: bool
) -> dict[str, int]:
    stale = sorted(wanted if again else wanted.intersection(due_days(settings)))
    # In this order: rows that another run wrote by `before` come from no newer history than `pinned`, and rows that
    # it writes after are a conflict.
    known = derivation_state(settings, stale)
    before = {name: _snapshot_id(settings, name) for name in _SCHEMAS}
    pinned = pin(settings)
    if not stale or pinned is None:
        return {}
    packed_before = _snapshot_id(settings, MOTION_HOUR_TABLE)
    packing = None if again else _packing(settings, stale)
    if packing:
        pinned = min(pinned, harvested(packing), key=lambda one: one.sequence)
    frames = split(
        _device_days(spark, settings, pinned, packing, packed_before, stale).persist(StorageLevel.MEMORY_AND_DISK)
    )
    try:
        changed = _differing(spark, settings, frames, before, stale)
        every = set().union(*changed.values())
        begin(settings, run, every)
        for name, at in changed.items():
            if at:
                target = settings.spark_table(name)
                replace_days(frames[name].where(in_days(at)), target, sorted(at), before[name], pinned.sequence)
        finish(settings, run, stale, every | known.suspect, pinned.sequence, known)
    finally:
        spark.catalog.clearCache()
    log.info("derived", region=settings.region, days=len(stale), changed=len(every), sequence=pinned.sequence)
    return {"derived": len(stale), "changed": len(every)} | _rows(changed)


def _packing(settings: LakeSettings, stale: Sequence[date]) -> Packing | None:
    """What of these days is read packed: those that still fill up, where they depend on much."""
    days, rules = days_that_fill_up(settings, stale), trip_rules(settings)
    if not days or rows_within(history(settings), spans_of(days, rules)) < settings.pack_from_rows:
        return None
    return plan_packing(settings, days, spans_of(days, rules))


def _device_days(
    spark: SparkSession,
    settings: LakeSettings,
    pinned: Pinned,
    packing: Packing | None,
    since: int | None,
    stale: Sequence[date],
) -> DataFrame:
    """Device days of the stale days: those in `packing` from packed hours, the others from history's rows."""
    rules = with_fleets(settings, trip_rules(settings))
    whole = sorted(set(stale).difference(packing.days if packing else ()))
    made = []
    if packing:
        pack_hours(spark, settings, packing, since)
        hours = read_hours(spark, settings, spans_of(packing.days, rules))
        made.append(hours_to_device_days(hours, rules, packing.days))
    if whole:
        made.append(to_device_days(read_history(spark, settings, pinned, spans_of(whole, rules)), rules, whole))
    return reduce(DataFrame.union, made)


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
            table_then = spark.read.option("snapshot-id", snapshot_id).table(settings.spark_table(name))
            old = table_then.where(in_days(days))
        found[name] = differing(frames[name], old, schema.names)
    return found


def _snapshot_id(settings: LakeSettings, name: str) -> int | None:
    snapshot = table(settings, name).current_snapshot()
    return None if snapshot is None else snapshot.snapshot_id


def _rows(changed: dict[str, dict[date, int]]) -> dict[str, int]:
    return {f"{name.split('.')[-1]}_rows": sum(at.values()) for name, at in changed.items()}
