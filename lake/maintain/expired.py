"""ops.expired: the rows that retention removed from history, told by its commits alone."""

from collections import Counter
from datetime import date
from typing import Any

import psycopg
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from contracts.settings import LakeSettings
from lake.database import transaction
from lake.iceberg.partitions import rows_by_day_of
from lake.iceberg.snapshots import is_retention, lineage
from lake.iceberg.tables import history

_ADD = "insert into ops.expired (snapshot_id, sequence, day, rows) values (%s, %s, %s, %s) on conflict do nothing"


def account_expired(settings: LakeSettings) -> int:
    """Account for every commit of retention that ops.expired does not have; rows that they removed.

    Days whose rows became fewer are proven anew by the next reconciliation. A commit that was rolled back counts no
    more: what it had removed is back, and due again.
    """
    with transaction(settings) as connection:
        connection.execute("select pg_advisory_xact_lock(hashtext('fleetlake.expired'))")
        found = history(settings)
        chain = lineage(found)
        _forget_lost(connection, chain)
        known = {snapshot for (snapshot,) in connection.execute("select snapshot_id from ops.expired")}
        fresh = [one for one in chain if is_retention(one) and one.snapshot_id not in known]
        removed = sum((_account(connection, found, one) for one in fresh), Counter[date]())
        connection.execute("delete from ops.proven_day where day = any(%s)", [list(removed)])
    return sum(removed.values())


def expired_rows(settings: LakeSettings) -> int:
    """Rows that retention has removed from history."""
    with transaction(settings) as connection:
        row = connection.execute("select coalesce(sum(rows), 0)::bigint from ops.expired").fetchone()
    return int(row[0]) if row else 0


def _account(connection: psycopg.Connection[Any], table: Table, snapshot: Snapshot) -> Counter[date]:
    parent = None if snapshot.parent_snapshot_id is None else table.snapshot_by_id(snapshot.parent_snapshot_id)
    before = Counter[date]() if parent is None else rows_by_day_of(table, parent)
    removed = before - rows_by_day_of(table, snapshot)
    sequence = snapshot.sequence_number or 0
    with connection.cursor() as cursor:
        cursor.executemany(_ADD, [(snapshot.snapshot_id, sequence, day, rows) for day, rows in sorted(removed.items())])
    return removed


def _forget_lost(connection: psycopg.Connection[Any], chain: list[Snapshot]) -> None:
    """Those that are not older than the oldest snapshot that is kept, and not among them."""
    oldest = min((one.sequence_number or 0 for one in chain), default=0)
    connection.execute(
        "delete from ops.expired where sequence >= %s and not (snapshot_id = any(%s))",
        [oldest, [one.snapshot_id for one in chain]],
    )
