"""Merges whose commits are no longer part of history: their objects are due again.

Somebody may roll history back to an earlier snapshot. The commits after it then hold nothing, while ops still says
that their objects are merged.
"""

import psycopg
import structlog
from pyiceberg.table import Table

from lake.iceberg.snapshots import lineage
from lake.merge.plan import Kind
from lake.merge.progress import forget_merge, lock_accounts, recorded_merges

log = structlog.get_logger()


def undo_lost_merges(connection: psycopg.Connection, region: str, table: Table) -> int:
    """Make the objects due again that rolled-back commits had merged; how many commits those were.

    A commit is lost where it is not among the current snapshot's ancestors, and is not older than the oldest of them
    that is kept: what expired by age is still part of history. Locks out accounts until the transaction ends.
    """
    lock_accounts(connection)
    chain = lineage(table)
    kept = {snapshot.snapshot_id for snapshot in chain}
    oldest = min((snapshot.sequence_number or 0 for snapshot in chain), default=0)
    known = {snapshot.snapshot_id: snapshot.sequence_number or 0 for snapshot in table.metadata.snapshots}
    lost = 0
    for merge in recorded_merges(connection):
        sequence = merge.sequence if merge.sequence is not None else known.get(merge.snapshot_id, -1)
        if merge.snapshot_id in kept or sequence < oldest:
            continue
        objects = forget_merge(connection, merge.snapshot_id, Kind(merge.kind), merge.committed_at)
        log.warning("commit was rolled back", region=region, snapshot=merge.snapshot_id, objects_due_again=objects)
        lost += 1
    return lost
