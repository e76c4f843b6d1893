"""Commits a flush through lost answers: what happened is read from the ledger, never guessed."""

from collections.abc import Sequence

from contracts.errors import LeaseLost, PositionMoved
from contracts.ledger import LeaseRow, LedgerEntry
from ingest.batch import ShardId
from ingest.kinesis import Shard
from ingest.leases.protocol import Ledger, after_commit
from ingest.runtime.metrics import LEASES
from ingest.runtime.retry import Retry


async def commit_for_sure(
    ledger: Ledger,
    retry: Retry,
    lease: LeaseRow,
    entry: LedgerEntry | None,
    *,
    children: Sequence[LeaseRow] | None,
) -> LeaseRow:
    """Commit, and return the lease as it then is only once the ledger is known to hold the commit.

    Raises LeaseLost or PositionMoved where the commit is known to be absent for good.
    """

    async def once() -> LeaseRow:
        try:
            return await ledger.commit(lease, entry, children=children)
        except (LeaseLost, PositionMoved):
            # An earlier attempt whose answer was lost may have committed it: only the ledger knows.
            if entry is None:
                raise
            found = await ledger.find(entry.shard_id, entry.last_seq)
            if found is None or (found.worker, found.fence) != (entry.worker, entry.fence):
                raise
            return after_commit(lease, entry, ended=children is not None)

    return await retry.until_done(LEASES, once)


def child_rows(shard_id: ShardId, children: Sequence[Shard], lease: LeaseRow) -> list[LeaseRow]:
    """The rows that a shard's children start with: its watermark, and its start where one was set."""
    return [
        LeaseRow(
            shard_id=child.shard_id,
            parents=list(child.parents or (shard_id,)),
            start_ms=lease.start_ms,
            watermark_ms=lease.watermark_ms,
        )
        for child in children
    ]
