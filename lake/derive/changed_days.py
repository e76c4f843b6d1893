"""The harvest: which days changed, read from history's commits, never from what a run believes it did."""

from collections.abc import Sequence
from datetime import date

import msgspec
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot

from contracts.settings import RegionSettings
from lake.database import transaction
from lake.derive.business_days import dirtied
from lake.derive.progress import HarvestCursor, known_days, lock_harvest, mark_changed, move_harvest
from lake.iceberg.partitions import changed_days, rows_by_day
from lake.iceberg.tables import history


class Harvest(msgspec.Struct, frozen=True):
    """What a harvest found: snapshots read, business days marked as changed, history's newest sequence number."""

    snapshots: int
    days: int
    sequence: int


def harvest(settings: RegionSettings) -> Harvest:
    """Mark in ops.changed the business days that history's snapshots after the cursor changed.

    Days and cursor move in one transaction. Snapshots that only rewrote files are skipped; a commit of duplicates
    alone marks nothing. Where the snapshot at the cursor has expired, every day is marked.
    """
    table = history(settings)
    newest = table.current_snapshot()
    if newest is None:
        return Harvest(snapshots=0, days=0, sequence=0)
    sequence = newest.sequence_number or 0
    with transaction(settings) as connection:
        cursor = lock_harvest(connection)
        if cursor is not None and cursor.sequence >= sequence:
            return Harvest(snapshots=0, days=0, sequence=cursor.sequence)
        fresh = _after(table, newest, cursor.snapshot_id if cursor else None)
        if fresh is None:
            marks = _everything(settings, known_days(connection), table, sequence)
        else:
            marks = _marks(settings, table, fresh)
        mark_changed(connection, marks)
        move_harvest(connection, HarvestCursor(newest.snapshot_id, sequence))
    return Harvest(snapshots=len(fresh or []), days=len(marks), sequence=sequence)


def _after(table: Table, newest: Snapshot, cursor: int | None) -> list[Snapshot] | None:
    """The snapshots after the cursor, oldest first; None where the chain back to it is broken."""
    chain: list[Snapshot] = []
    step: Snapshot | None = newest
    while step is not None and step.snapshot_id != cursor:
        chain.append(step)
        parent = step.parent_snapshot_id
        step = table.snapshot_by_id(parent) if parent is not None else None
        if parent is not None and step is None:
            return None
    if cursor is not None and step is None:
        return None
    return chain[::-1]


def _marks(settings: RegionSettings, table: Table, snapshots: Sequence[Snapshot]) -> dict[date, int]:
    marks: dict[date, int] = {}
    for snapshot in snapshots:
        if snapshot.summary is not None and snapshot.summary.operation is Operation.REPLACE:
            continue
        for day in dirtied(changed_days(table, snapshot), settings.row.zone):
            marks[day] = max(marks.get(day, 0), snapshot.sequence_number or 0)
    return marks


def _everything(settings: RegionSettings, known: set[date], table: Table, sequence: int) -> dict[date, int]:
    """All days that history has or had: those of its partitions, and those known from before."""
    return dict.fromkeys(dirtied(rows_by_day(table), settings.row.zone) | known, sequence)
