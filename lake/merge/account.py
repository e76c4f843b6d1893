"""What merge commits did: objects marked as merged, and a row of counts for each commit.

Works from the snapshots alone, so it makes no difference whether the run that committed them is still there.
"""

from datetime import UTC, datetime

import psycopg
from pyiceberg.table.snapshots import Snapshot

from contracts.errors import NotReconciled
from contracts.names import HISTORY_TABLE
from contracts.settings import LakeSettings
from lake.database import transaction
from lake.iceberg.partitions import gained_rows
from lake.iceberg.snapshots import lineage, properties_of
from lake.iceberg.tables import history
from lake.merge.commit import merged_objects
from lake.merge.progress import (
    MergeCounts,
    accounted_snapshots,
    add_erasure,
    add_merge,
    lock_accounts,
    mark_merged,
)
from lake.merge.rollback import undo_lost_merges

ERASED = "fleetlake.erased"
"""Snapshot property of a commit that an erasure made: the request's id, and no other."""


def account_merges(settings: LakeSettings) -> list[MergeCounts]:
    """Account for every merge snapshot of history that ops.merge does not have, oldest first.

    What a commit that was rolled back had merged is due again first. Commits of erasures take what they removed off the
    sums. Raises NotReconciled where a commit inserted
    more rows than the ledger says it read.
    """
    with transaction(settings) as connection:
        lock_accounts(connection)
        table = history(settings)
        undo_lost_merges(connection, settings.region, table)
        known = accounted_snapshots(connection)
        fresh = [one for one in reversed(lineage(table)) if one.snapshot_id not in known]
        for one in fresh:
            if ERASED in properties_of(one):
                committed = datetime.fromtimestamp(one.timestamp_ms / 1000, UTC)
                add_erasure(connection, one.snapshot_id, -gained_rows(one), committed, one.sequence_number or 0)
        return [_account(connection, one) for one in fresh if merged_objects(properties_of(one))]


def _account(connection: psycopg.Connection, snapshot: Snapshot) -> MergeCounts:
    """Rows read by the ledger, inserted by the snapshot's own summary; what was read and not inserted was there.

    The objects' rows were compared with the ledger before the commit (lake.merge.inspection), and `fleetlake
    reconcile` counts landing and history anew, so the rows are not read a second time here.
    """
    named = merged_objects(properties_of(snapshot))
    if named is None:
        raise NotReconciled(f"snapshot {snapshot.snapshot_id} of {HISTORY_TABLE} is not a merge")
    kind, keys = named
    committed = datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC)
    marked = mark_merged(connection, kind, keys, committed)
    read, inserted = sum(marked.values()), gained_rows(snapshot)
    if inserted > read:
        raise NotReconciled(
            f"snapshot {snapshot.snapshot_id} of {HISTORY_TABLE} inserted {inserted} rows, but its objects have {read} "
            "by the ledger; run `fleetlake reconcile`"
        )
    counts = MergeCounts(snapshot.snapshot_id, kind, len(marked), read, inserted, read - inserted)
    add_merge(connection, counts, committed, snapshot.sequence_number)
    return counts
