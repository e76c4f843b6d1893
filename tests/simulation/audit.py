"""The promises that hold at every moment, checked as each change of leases and ledger takes effect."""

from collections.abc import Callable
from typing import Protocol

from contracts.ledger import LeaseRow, LedgerEntry, region_watermark_ms
from ingest.batch import ShardId
from ingest.landing import MemoryStore

_HOUR_MS = 3_600_000


class StreamTruth(Protocol):
    """What the audit asks of the stream."""

    put_ms: dict[ShardId, list[tuple[int, int]]]
    parents: dict[ShardId, tuple[ShardId, ...]]

    def has(self, shard_id: ShardId) -> bool: ...
    def trimmed(self, shard_id: ShardId, sequence: int) -> bool: ...


class Audit:
    """Follows leases and ledger by their effects alone, and notes every promise that one breaks.

    - Only the newest taker of a shard that has not let go commits or moves its watermark; a fence is used once.
    - Each entry follows its predecessor, and its objects are there.
    - A watermark never goes back, and no record put before it is uncommitted, unless the stream has trimmed it.
    - Nothing is filed into an hour that the region's watermark, as anyone read it, had closed.
    - A child commits only after its parents have ended, or the stream has forgotten them.
    - A loss is told only where the stream no longer has the record that the shard was read up to, or the shard.
    """

    def __init__(self, rows: Callable[[], list[LeaseRow]], store: MemoryStore, stream: StreamTruth) -> None:
        self.broken: list[str] = []
        self.commits = 0
        self.closed_ms = 0
        """The greatest region watermark that anyone has read."""
        self._rows = rows
        self._store = store
        self._stream = stream
        self._holder: dict[ShardId, tuple[str | None, int]] = {}
        self._fences: dict[ShardId, int] = {}
        self._position: dict[ShardId, str] = {}
        self._read: dict[ShardId, int] = {}
        self._watermark: dict[ShardId, int] = {}
        self._ended: set[ShardId] = set()

    def taken(self, lease: LeaseRow) -> None:
        """Someone owns the shard from now on."""
        before = self._fences.get(lease.shard_id, 0)
        self._demand(lease.fence == before + 1, f"{lease.shard_id}: fence {lease.fence} taken after {before}")
        self._fences[lease.shard_id] = max(before, lease.fence)
        self._holder[lease.shard_id] = (lease.owner, lease.fence)
        self.changed("take")

    def released(self, lease: LeaseRow) -> None:
        """Its owner let go."""
        self._by_holder("release", lease)
        self._holder.pop(lease.shard_id, None)
        self.changed("release")

    def advanced(self, lease: LeaseRow) -> None:
        """Its owner moved the watermark."""
        self._by_holder("advance", lease)
        self._told(lease.shard_id, lease.lost, lease.position)
        self.changed("advance")

    def committed(self, lease: LeaseRow, entry: LedgerEntry | None, *, ended: bool) -> None:
        """A flush counts, or the shard ended, or both."""
        shard = lease.shard_id
        self.commits += 1
        self._by_holder("commit", lease)
        if entry is not None:
            before = self._position.get(shard, "")
            follows = entry.after_seq == before and int(entry.last_seq) > int(before or 0)
            self._demand(follows, f"{shard}: entry {entry.after_seq}..{entry.last_seq} at position {before}")
            self._position[shard] = entry.last_seq
            self._told(shard, entry.lost, before)
            self._objects(entry)
            if entry.kinesis_records:
                there = [parent for parent in self._stream.parents.get(shard, ()) if self._stream.has(parent)]
                waiting = [parent for parent in there if parent not in self._ended]
                self._demand(not waiting, f"{shard} commits before its parents {waiting} have ended")
        if ended:
            self._ended.add(shard)
            self._holder.pop(shard, None)
        self.changed("commit")

    def changed(self, what: str) -> None:
        """Whatever changed, watermarks stand or move forward, and claim no more than is true."""
        rows = self._rows()
        for row in rows:
            before = self._watermark.get(row.shard_id)
            if before == row.watermark_ms:
                continue
            if before is not None:
                self._moved(row, before, what)
            self._watermark[row.shard_id] = row.watermark_ms
        if rows:
            self.region_seen(rows, what)

    def region_seen(self, rows: list[LeaseRow], what: str, *, exactly: bool = True) -> None:
        """Someone read the region's watermark off these rows; `exactly` where they are all of one moment."""
        now_ms = region_watermark_ms(rows)
        if exactly and now_ms < self.closed_ms:
            self.broken.append(f"{what}: the region's watermark is {now_ms}, someone had read {self.closed_ms}")
        self.closed_ms = max(now_ms, self.closed_ms)

    def _moved(self, row: LeaseRow, before: int, what: str) -> None:
        shard = row.shard_id
        # A child's row may have to wait for a smaller parent until it is taken.
        forward = row.watermark_ms > before or shard not in self._fences
        self._demand(forward, f"{shard}: {what} takes the watermark from {before} back to {row.watermark_ms}")
        puts, place = self._stream.put_ms.get(shard, []), self._read.get(shard, 0)
        while place < len(puts) and puts[place][0] <= int(row.position or 0):
            place += 1
        self._read[shard] = place
        true = place == len(puts) or puts[place][1] >= row.watermark_ms or self._stream.trimmed(shard, puts[place][0])
        self._demand(true, f"{shard}: {what} moves the watermark to {row.watermark_ms} beyond an uncommitted record")

    def _objects(self, entry: LedgerEntry) -> None:
        for landed in entry.objects:
            self._demand(landed.key in self._store.objects, f"{landed.key} is listed but is not there")
            open_still = landed.hour_ms + _HOUR_MS > self.closed_ms
            self._demand(open_still, f"{landed.key} is filed into an hour closed at {self.closed_ms}")

    def _told(self, shard: ShardId, lost: bool, position: str) -> None:
        """With the position all is there; whether more was trimmed than the position, nobody can tell."""
        true = not lost or not position or self._stream.trimmed(shard, int(position))
        self._demand(true, f"{shard}: a loss is told, yet the stream has {position}, up to which it was read")

    def _by_holder(self, what: str, lease: LeaseRow) -> None:
        holder = self._holder.get(lease.shard_id)
        by_holder = holder == (lease.owner, lease.fence)
        self._demand(by_holder, f"{lease.shard_id}: {what} by {lease.owner}/{lease.fence}, held by {holder}")

    def _demand(self, kept: bool, otherwise: str) -> None:
        if not kept:
            self.broken.append(otherwise)
