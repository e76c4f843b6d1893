"""The promises of the lease table and the ledger, and the lease after a commit."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

from msgspec.structs import replace

from contracts.ledger import LeaseRow, LedgerEntry
from contracts.names import LAST_SEQ
from ingest.batch import ShardId

WorkerId = str
ENTRIES_A_PAGE = 500
"""Some 700 KB of DynamoDB's items."""


class LeaseTable(Protocol):
    """Who may read which shard.

    Promises
    - `insert` never changes a row that is there.
    - `take` succeeds only if the row is still as seen: of two workers that race for one shard, one gets it. Each take
      raises the fence by one; a fence is never used twice. An ended shard cannot be taken.
    - `renew`, `advance` and `release` by anyone but the holder of the current fence raise LeaseLost and change nothing.
    - A watermark never goes backwards.
    - `changes` grows once a shard was released, has ended or got its row; where a worker died in between, it does not.
    - Any call may raise SinkUnavailable; the change may then have been made or not.
    """

    async def rows(self) -> list[LeaseRow]:
        """All rows, ended ones included, as of now."""
        ...

    async def insert(self, rows: Sequence[LeaseRow]) -> None:
        """Add the rows that are not there yet."""
        ...

    async def take(self, seen: LeaseRow, worker: WorkerId) -> LeaseRow | None:
        """Own the shard if its row is still as `seen`; the row as taken, or None where another worker was faster."""
        ...

    async def renew(
        self, lease: LeaseRow, *, records_per_s: float, bytes_per_s: float, live_seq: str, suppression_version: int = 0
    ) -> LeaseRow:
        """Change the heartbeat, note the load and the progress of live state; the row after.

        suppression_version: of the list that everything read so far was held to, where the row has an older one.
        """
        ...

    async def advance(self, lease: LeaseRow, watermark_ms: int) -> LeaseRow:
        """Move the watermark forward, and with it note `lease.lost`; a smaller one changes nothing. The row after."""
        ...

    async def release(self, lease: LeaseRow, *, live_seq: str, to: WorkerId | None = None) -> None:
        """Give the shard up. `to` is the worker that it is meant for; without, any worker may take it at once."""
        ...

    async def ask(self, seen: LeaseRow, worker: WorkerId) -> bool:
        """Ask the owner for a graceful hand-over; False where the owner changed or another asked before."""
        ...

    async def changes(self) -> int | None:
        """A count of what makes it worth while to read all rows; None where nothing counts it. One small read."""
        ...

    async def remove(self, row: LeaseRow) -> None:
        """Delete the row of an ended shard that the stream no longer has."""
        ...

    async def restart(self, seen: LeaseRow, anew: LeaseRow) -> bool:
        """Put `anew` in the place of a row that is still as `seen`: for a shard of a new stream of the same name."""
        ...

    async def stream_created_ms(self, created_ms: int) -> int:
        """When the stream was made that the leases are of; notes `created_ms` where that is not noted yet."""
        ...

    async def belong_to(self, created_ms: int, *, instead_of: int) -> bool:
        """Note that the leases are of the stream made at `created_ms` from now on, if `instead_of` is noted still."""
        ...


class Ledger(Protocol):
    """Which flushes count.

    Promises
    - `commit` does all or nothing, in one step: the lease's position and watermark move, the entry is added, and, with
      `children`, the shard ends with `lease.live_seq`, and its children get rows. It does so only if owner, fence and
      position are still the lease's and there is no entry at (shard_id, last_seq).
    - Otherwise it changes nothing and raises LeaseLost where owner or fence differ, else PositionMoved.
    - After SinkUnavailable the commit may have been done or not: `find` tells, and repeating the call is harmless.
    - A child's row has the smallest watermark of the parents that ended before it was taken.
    """

    async def commit(
        self, lease: LeaseRow, entry: LedgerEntry | None, *, children: Sequence[LeaseRow] | None = None
    ) -> LeaseRow:
        """Commit one flush; the lease as it is afterwards. Without `children` (even none) the shard goes on."""
        ...

    async def find(self, shard_id: ShardId, last_seq: str) -> LedgerEntry | None:
        """The entry that ends at this sequence number."""
        ...

    async def shards(self) -> list[ShardId]:
        """Every shard that has an entry, also ended shards whose lease rows have been removed."""
        ...

    async def entries(self, shard_id: ShardId, after: str = "", *, most: int | None = None) -> list[LedgerEntry]:
        """The shard's entries in order, those with last_seq greater than `after`: all, or the first `most`."""
        ...

    async def entries_before(self, shard_id: ShardId, before: str = LAST_SEQ, *, most: int) -> list[LedgerEntry]:
        """The newest `most` of the shard's entries with last_seq less than `before`, the newest first."""
        ...


class Leases(LeaseTable, Ledger, Protocol):
    """Both, over the same rows."""

    async def close(self) -> None: ...


Ask = Callable[[Callable[[], Awaitable[list[LedgerEntry]]]], Awaitable[list[LedgerEntry]]]
"""Calls for a page of entries, perhaps until it is there."""


async def once(call: Callable[[], Awaitable[list[LedgerEntry]]]) -> list[LedgerEntry]:
    """An Ask that passes errors on."""
    return await call()


async def entries_by_page(
    ledger: Ledger, shard_id: ShardId, after: str = "", *, ask: Ask = once
) -> AsyncIterator[LedgerEntry]:
    """The shard's entries in order, those with last_seq greater than `after`, of which a page is in memory at a time:
    a shard of a year has half a million."""
    while True:
        page = await ask(partial(ledger.entries, shard_id, after, most=ENTRIES_A_PAGE))
        for entry in page:
            yield entry
        if len(page) < ENTRIES_A_PAGE:
            return
        after = page[-1].last_seq


async def entries_from_the_newest(ledger: Ledger, shard_id: ShardId) -> AsyncIterator[LedgerEntry]:
    """The shard's entries, the newest first, of which a page is in memory at a time."""
    before = LAST_SEQ
    while page := await ledger.entries_before(shard_id, before, most=ENTRIES_A_PAGE):
        for entry in page:
            yield entry
        before = page[-1].last_seq


def after_commit(lease: LeaseRow, entry: LedgerEntry | None, *, ended: bool) -> LeaseRow:
    """The lease once `entry` is committed, and, where `ended`, the shard with it."""
    if entry is not None:
        lease = replace(
            lease,
            position=entry.last_seq,
            watermark_ms=max(lease.watermark_ms, entry.watermark_ms),
            suppression_version=entry.suppression_version,
            lost=lease.lost and not entry.lost,
        )
    return replace(lease, ended=True, owner=None, wanted_by=None) if ended else lease
