"""The harvest: which days changed, read from history's commits, never from what a run believes it did."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from itertools import takewhile

import msgspec
import psycopg
import structlog
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot

from contracts.settings import LakeSettings
from lake.database import transaction
from lake.derive.business_days import dirtied, whole_utc_days
from lake.derive.hours import has_hours, mark_hours, utc_hours
from lake.derive.motion.rules import trip_rules
from lake.derive.progress import HarvestCursor, derive_again, known_days, lock_harvest, mark_changed, move_harvest
from lake.iceberg.partitions import changed_spans, rows_by_day
from lake.iceberg.snapshots import is_retention, lineage, properties_of
from lake.iceberg.tables import history
from lake.merge.rollback import undo_lost_merges

log = structlog.get_logger()
DERIVED_TOO = "fleetlake.erased-from-derived"
"""Snapshot property of an erasure of whole devices: the derived tables lose them as well, so no day is derived anew."""


class Harvest(msgspec.Struct, frozen=True):
    """What a harvest found: snapshots read, business days marked as changed, history's newest sequence number."""

    snapshots: int
    days: int
    sequence: int


def harvest(settings: LakeSettings) -> Harvest:
    """Mark in ops.changed the business days that history's snapshots after the cursor changed.

    Days and cursor move in one transaction; so do the hours that changed (lake.derive.hours). Snapshots that only
    rewrote files, or removed what was past its time, are skipped; a commit of duplicates alone marks nothing. Where
    history was rolled back behind the cursor, the days that the lost snapshots changed are due again, and so are the
    objects that they had merged; where the snapshots between are not kept, every day is.
    """
    with transaction(settings) as connection:
        cursor = lock_harvest(connection)
        table = history(settings)  # after the lock: the cursor then names no newer snapshot unless it was rolled back
        chain = lineage(table)
        if not chain or (cursor is not None and cursor.snapshot_id == chain[0].snapshot_id):
            return Harvest(snapshots=0, days=0, sequence=cursor.sequence if cursor else 0)
        found = _since(table, chain, cursor.snapshot_id if cursor else None)
        sequence = chain[0].sequence_number or 0
        if found is None or (cursor is not None and not has_hours(connection)):
            mark_hours(connection, dict.fromkeys(utc_hours(whole_utc_days(rows_by_day(table))), sequence), again=True)
        if found is None:
            marks = dict.fromkeys(
                _dirtied(settings, whole_utc_days(rows_by_day(table))) | known_days(connection), sequence
            )
        else:
            marks = _note(settings, connection, table, found, sequence)
        if found is None or found.lost:
            log.warning("history was rolled back, or snapshots expired unread", region=settings.region, days=len(marks))
            undo_lost_merges(connection, settings.region, table)
            derive_again(connection, marks)
        mark_changed(connection, marks)
        move_harvest(connection, HarvestCursor(chain[0].snapshot_id, sequence))
    return Harvest(snapshots=len(found.fresh) if found else 0, days=len(marks), sequence=sequence)


class _Since(msgspec.Struct, frozen=True):
    """Snapshots of history since the cursor, oldest first: those that are part of it, and those that no longer are."""

    fresh: list[Snapshot]
    lost: list[Snapshot]


def _since(table: Table, chain: Sequence[Snapshot], cursor: int | None) -> _Since | None:
    """What happened since the snapshot `cursor` (None: since the table's first); None where that is not kept.

    chain: the current snapshot and its ancestors, newest first.
    """
    if cursor is None:
        return _Since(list(reversed(chain)), []) if chain[-1].parent_snapshot_id is None else None
    part = {snapshot.snapshot_id for snapshot in chain}
    before = lineage(table, since=cursor)
    lost = list(takewhile(lambda one: one.snapshot_id not in part, before))
    if len(lost) == len(before):
        return None
    common = before[len(lost)].snapshot_id
    fresh = takewhile(lambda one: one.snapshot_id != common, chain)
    return _Since(list(fresh)[::-1], lost[::-1])


def _note(
    settings: LakeSettings, connection: psycopg.Connection, table: Table, found: _Since, sequence: int
) -> dict[date, int]:
    """Mark the hours that these snapshots changed; returns the days to mark, each with its sequence number."""
    days: dict[date, int] = {}
    for snapshot in found.fresh:
        if DERIVED_TOO in properties_of(snapshot):
            continue
        spans, number = _changed(table, snapshot), snapshot.sequence_number or 0
        mark_hours(connection, dict.fromkeys(utc_hours(spans), number))
        days |= {day: max(days.get(day, 0), number) for day in _dirtied(settings, spans)}
    lost = set().union(*(_changed(table, snapshot) for snapshot in found.lost))
    if lost:
        mark_hours(connection, dict.fromkeys(utc_hours(lost), sequence), again=True)
    return days | dict.fromkeys(_dirtied(settings, lost), sequence)


def _changed(table: Table, snapshot: Snapshot) -> set[tuple[datetime, datetime]]:
    """The times that a snapshot changed; one that only rewrote files changed none, and of retention none that stay."""
    if is_retention(snapshot) or (snapshot.summary is not None and snapshot.summary.operation is Operation.REPLACE):
        return set()
    return changed_spans(table, snapshot, "ts")


def _dirtied(settings: LakeSettings, spans: Iterable[tuple[datetime, datetime]]) -> set[date]:
    return dirtied(spans, settings.row.zone, timedelta(seconds=trip_rules(settings).look_back_s))
