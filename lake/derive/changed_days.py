"""Which days changed, read from history's commits: never from what a run believes it did."""

from collections.abc import Iterable, Sequence
from datetime import date

import msgspec
import psycopg
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot

from contracts.names import HISTORY_TABLE
from contracts.settings import RegionSettings
from lake.database import transaction
from lake.derive.business_days import dirtied
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
        connection.execute("select pg_advisory_xact_lock(hashtext('fleetlake.harvest'))")
        cursor = _cursor(connection)
        if cursor is not None and cursor[1] >= sequence:
            return Harvest(snapshots=0, days=0, sequence=cursor[1])
        fresh = _after(table, newest, cursor[0] if cursor else None)
        marks = _marks(settings, table, fresh) if fresh is not None else _everything(settings, connection, table)
        _mark(connection, marks)
        _move(connection, newest)
    return Harvest(snapshots=len(fresh or []), days=len(marks), sequence=sequence)


def due_days(settings: RegionSettings) -> list[date]:
    """The business days that changed since they were derived, or that a run began to replace and nobody finished."""
    with transaction(settings) as connection:
        rows = connection.execute(
            "select c.day from ops.changed c left join ops.derived d using (day)"
            " where c.sequence > coalesce(d.sequence, -1)"
            " union select day from ops.deriving where not taken_up order by day"
        ).fetchall()
    return [day for (day,) in rows]


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


def _everything(settings: RegionSettings, connection: psycopg.Connection, table: Table) -> dict[date, int]:
    """All days that history has or had: those of its partitions, and those marked or derived before."""
    newest = table.current_snapshot()
    sequence = (newest.sequence_number or 0) if newest else 0
    known = connection.execute("select day from ops.changed union select day from ops.derived").fetchall()
    days = dirtied(rows_by_day(table), settings.row.zone) | {day for (day,) in known}
    return dict.fromkeys(days, sequence)


def _cursor(connection: psycopg.Connection) -> tuple[int, int] | None:
    row = connection.execute(
        "select snapshot_id, sequence from ops.harvest_cursor where table_name = %s", [HISTORY_TABLE]
    ).fetchone()
    return (row[0], row[1]) if row else None


def _mark(connection: psycopg.Connection, marks: dict[date, int]) -> None:
    pairs: Iterable[tuple[date, int]] = sorted(marks.items())
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.changed (day, sequence) values (%s, %s) on conflict (day) do update"
            " set sequence = excluded.sequence, changed_at = now() where ops.changed.sequence < excluded.sequence",
            list(pairs),
        )


def _move(connection: psycopg.Connection, newest: Snapshot) -> None:
    connection.execute(
        "insert into ops.harvest_cursor values (%s, %s, %s) on conflict (table_name) do update"
        " set snapshot_id = excluded.snapshot_id, sequence = excluded.sequence",
        [HISTORY_TABLE, newest.snapshot_id, newest.sequence_number or 0],
    )
