"""Lease table and ledger in memory, with the same promises as DynamoDB's."""

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from contracts.errors import LeaseLost, PositionMoved
from contracts.ledger import LeaseRow, LedgerEntry
from contracts.names import LAST_SEQ, padded_sequence
from ingest.batch import ShardId
from ingest.leases.protocol import WorkerId, after_commit


class MemoryLeases:
    """LeaseTable and Ledger of one region; several workers share it by sharing the object."""

    def __init__(self) -> None:
        self._rows: dict[ShardId, LeaseRow] = {}
        self._entries: dict[tuple[ShardId, str], LedgerEntry] = {}
        self._stream_created_ms = 0
        self._changes = 0

    async def rows(self) -> list[LeaseRow]:
        """All rows by shard."""
        await asyncio.sleep(0)
        return [self._rows[name] for name in sorted(self._rows)]

    async def insert(self, rows: Sequence[LeaseRow]) -> None:
        """Add those that are missing."""
        await asyncio.sleep(0)
        for row in rows:
            self._rows.setdefault(row.shard_id, row)
        self._changes += 1

    async def take(self, seen: LeaseRow, worker: WorkerId) -> LeaseRow | None:
        """The next fence, for the first caller."""
        await asyncio.sleep(0)
        row = self._rows.get(seen.shard_id)
        if row is None or row.ended or (row.fence, row.heartbeat) != (seen.fence, seen.heartbeat):
            return None
        return self._put(replace(row, owner=worker, fence=row.fence + 1, heartbeat=row.heartbeat + 1, wanted_by=None))

    async def renew(
        self, lease: LeaseRow, *, records_per_s: float, bytes_per_s: float, live_seq: str, suppression_version: int = 0
    ) -> LeaseRow:
        """Change the heartbeat."""
        await asyncio.sleep(0)
        row = self._held(lease)
        load = {"records_per_s": records_per_s, "bytes_per_s": bytes_per_s}
        version = max(row.suppression_version, suppression_version)
        return self._put(
            replace(row, heartbeat=row.heartbeat + 1, live_seq=live_seq, suppression_version=version, **load)
        )

    async def advance(self, lease: LeaseRow, watermark_ms: int) -> LeaseRow:
        """Move the watermark forward."""
        await asyncio.sleep(0)
        row = self._held(lease)
        if watermark_ms <= row.watermark_ms:
            return row
        return self._put(replace(row, watermark_ms=watermark_ms, lost=row.lost or lease.lost))

    async def release(self, lease: LeaseRow, *, live_seq: str, to: WorkerId | None = None) -> None:
        """Remove the owner."""
        await asyncio.sleep(0)
        row = self._held(lease)
        self._put(replace(row, owner=None, heartbeat=row.heartbeat + 1, wanted_by=to, live_seq=live_seq))
        self._changes += 1

    async def ask(self, seen: LeaseRow, worker: WorkerId) -> bool:
        """Mark the row for the first caller."""
        await asyncio.sleep(0)
        row = self._rows.get(seen.shard_id)
        if row is None or row.ended or row.fence != seen.fence or row.owner != seen.owner or row.wanted_by is not None:
            return False
        self._put(replace(row, wanted_by=worker))
        return True

    async def changes(self) -> int | None:
        """How often a row was added, released or ended."""
        await asyncio.sleep(0)
        return self._changes

    async def remove(self, row: LeaseRow) -> None:
        """Delete the row of an ended shard."""
        await asyncio.sleep(0)
        if row.shard_id in self._rows and self._rows[row.shard_id].ended:
            del self._rows[row.shard_id]

    async def restart(self, seen: LeaseRow, anew: LeaseRow) -> bool:
        """Replace the row as seen."""
        await asyncio.sleep(0)
        row = self._rows.get(seen.shard_id)
        if row is None or (row.fence, row.heartbeat) != (seen.fence, seen.heartbeat):
            return False
        self._put(anew)
        return True

    async def stream_created_ms(self, created_ms: int) -> int:
        """The first one noted."""
        await asyncio.sleep(0)
        self._stream_created_ms = self._stream_created_ms or created_ms
        return self._stream_created_ms

    async def belong_to(self, created_ms: int, *, instead_of: int) -> bool:
        """Note another."""
        await asyncio.sleep(0)
        if self._stream_created_ms != instead_of:
            return False
        self._stream_created_ms = created_ms
        return True

    async def commit(
        self, lease: LeaseRow, entry: LedgerEntry | None, *, children: Sequence[LeaseRow] | None = None
    ) -> LeaseRow:
        """Check everything, then change rows and entries."""
        await asyncio.sleep(0)
        row = self._held(lease)
        if row.position != lease.position or (entry is not None and entry.after_seq != row.position):
            raise PositionMoved(
                f"{lease.shard_id} is at {row.position or 'its start'}, not where this worker read from"
            )
        if entry is not None:
            if row.watermark_ms > max(lease.watermark_ms, entry.watermark_ms):
                raise PositionMoved(f"{lease.shard_id}: the watermark has moved beyond what this worker knows")
            key = (entry.shard_id, padded_sequence(entry.last_seq))
            if key in self._entries:
                raise PositionMoved(f"{lease.shard_id} has an entry at {entry.last_seq} already")
            self._entries[key] = entry
        for child in children or ():
            known = self._rows.get(child.shard_id, child)
            if known.fence == 0:
                self._put(replace(known, watermark_ms=min(known.watermark_ms, child.watermark_ms)))
        if children is not None:
            self._changes += 1
            row = replace(row, live_seq=lease.live_seq)
        row = after_commit(row, entry, ended=children is not None)
        return self._put(replace(row, heartbeat=row.heartbeat + 1))

    async def find(self, shard_id: ShardId, last_seq: str) -> LedgerEntry | None:
        """The entry of that key."""
        await asyncio.sleep(0)
        return self._entries.get((shard_id, padded_sequence(last_seq)))

    async def shards(self) -> list[ShardId]:
        """The shards of all entries."""
        await asyncio.sleep(0)
        return sorted({shard_id for shard_id, _ in self._entries})

    async def entries(self, shard_id: ShardId, after: str = "", *, most: int | None = None) -> list[LedgerEntry]:
        """The shard's entries after that sequence number."""
        await asyncio.sleep(0)
        first = padded_sequence(after)
        keys = sorted(key for key in self._entries if key[0] == shard_id and key[1] > first)
        return [self._entries[key] for key in keys[:most]]

    async def entries_before(self, shard_id: ShardId, before: str = LAST_SEQ, *, most: int) -> list[LedgerEntry]:
        """The shard's newest entries before that sequence number."""
        await asyncio.sleep(0)
        last = padded_sequence(before)
        keys = sorted((key for key in self._entries if key[0] == shard_id and key[1] < last), reverse=True)
        return [self._entries[key] for key in keys[:most]]

    async def close(self) -> None:
        """Nothing to close."""

    def _held(self, lease: LeaseRow) -> LeaseRow:
        row = self._rows.get(lease.shard_id)
        if row is None or row.ended or row.owner != lease.owner or row.fence != lease.fence:
            raise LeaseLost(f"{lease.shard_id}: fence {lease.fence} of {lease.owner} is no longer the lease's")
        return row

    def _put(self, row: LeaseRow) -> LeaseRow:
        self._rows[row.shard_id] = row
        return row
