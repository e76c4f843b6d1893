"""The remote parts of a simulated cluster: the in-memory doubles, watched, and as imprecise as the services are."""

import asyncio
import dataclasses
import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa

from contracts.ledger import LeaseRow, LedgerEntry
from ingest.batch import KinesisRecord, ShardId
from ingest.kinesis.memory import MemoryStream
from ingest.kinesis.protocol import Records, Turn
from ingest.leases.memory import MemoryLeases
from ingest.live import LiveReport
from ingest.live.order_key import order_keys
from ingest.live.selection import select_newest
from tests.simulation.audit import Audit

_CUT = 0.1
"""How often a scan of the lease table sees its rows at two moments."""


class CityStream(MemoryStream):
    """A stream whose arrival times, as Kinesis', are approximate: up to `jitter_ms` before the truth."""

    def __init__(self, shards: int, *, jitter_ms: int, chance: random.Random, now_ms: Callable[[], int], **more: Any):
        self._jitter_ms = jitter_ms
        self._chance = chance
        self.put_ms: dict[ShardId, list[tuple[int, int]]] = {}
        """By shard: sequence number and true time of each record ever put."""
        self.parents: dict[ShardId, tuple[ShardId, ...]] = {}
        self.forgets: Callable[[], bool] = lambda: False
        """Whether the next answer lacks its iterator and the shard's children."""
        super().__init__(shards, now_ms=now_ms, **more)

    def put(self, partition_key: str, data: bytes, *, explicit_hash: int | None = None) -> tuple[ShardId, str]:
        """As MemoryStream's, with an arrival time a little off."""
        shard_id, sequence_number = super().put(partition_key, data, explicit_hash=explicit_hash)
        self.put_ms.setdefault(shard_id, []).append((int(sequence_number), self._now_ms()))
        if self._jitter_ms:
            records = self._logs[shard_id].records
            arrival_ms = records[-1].arrival_ms - self._chance.randrange(self._jitter_ms)
            records[-1] = KinesisRecord.at(arrival_ms, sequence_number, partition_key, data)
        return shard_id, sequence_number

    async def get_records(self, iterator: str, limit: int = 10_000, *, turn: Turn | None = None) -> Records:
        """As MemoryStream's; by mistake an answer may look like a shard's end."""
        answer = await super().get_records(iterator, limit, turn=turn)
        return dataclasses.replace(answer, next_iterator=None, child_shards=[]) if self.forgets() else answer

    def newest(self, shard_id: ShardId) -> KinesisRecord:
        """The record put last."""
        return self._logs[shard_id].records[-1]

    def last(self, shard_id: ShardId) -> int:
        """Sequence number of the newest record that the shard still has, or 0."""
        return self._logs[shard_id].sequences[-1] if self._logs[shard_id].sequences else 0

    def kept(self, shard_id: ShardId) -> set[str]:
        """Sequence numbers that are still there."""
        return {record.sequence_number for record in self.everything(shard_id)} if shard_id in self._logs else set()

    def has(self, shard_id: ShardId) -> bool:
        """Whether the stream still has that shard."""
        self._trim()
        return shard_id in self._logs

    def trimmed(self, shard_id: ShardId, sequence: int) -> bool:
        """Whether the stream has that record no more."""
        self._trim()
        return shard_id not in self._logs or sequence not in self._logs[shard_id].sequences

    def shards(self) -> list[tuple[ShardId, bool]]:
        """Every shard that the stream still has, and whether it is closed."""
        self._trim()
        return [(log.shard_id, log.closed_ms is not None) for log in self._logs.values()]

    def neighbours(self) -> list[tuple[ShardId, ShardId]]:
        """Open shards that can be merged."""
        logs = sorted(self._open(), key=lambda log: log.first_hash)
        pairs = pairwise(logs)
        return [(one.shard_id, other.shard_id) for one, other in pairs if one.last_hash + 1 == other.first_hash]

    def _bear(self, parents: tuple[ShardId, ...], first_hash: int, last_hash: int) -> ShardId:
        shard_id = super()._bear(parents, first_hash, last_hash)
        self.parents[shard_id] = parents
        return shard_id


class WatchedLeases:
    """Leases whose every effect is audited at the moment at which it takes place."""

    def __init__(self, inner: MemoryLeases, audit: Audit, chance: random.Random) -> None:
        self._inner = inner
        self._audit = audit
        self._chance = chance

    async def rows(self) -> list[LeaseRow]:
        """A scan; it is no snapshot, so rows may be as of different moments."""
        first = await self._inner.rows()
        if self._chance.random() >= _CUT:
            return first
        await asyncio.sleep(self._chance.random())
        names = {row.shard_id for row in first}
        early = {row.shard_id for row in first if self._chance.random() < 0.5}
        later = [row for row in await self._inner.rows() if row.shard_id not in early]
        unseen = [row for row in later if row.shard_id not in names and self._chance.random() < 0.5]
        kept = [row for row in first if row.shard_id in early] + [row for row in later if row not in unseen]
        return sorted(kept, key=lambda row: row.shard_id)

    async def take(self, seen: LeaseRow, worker: str) -> LeaseRow | None:
        """Audited."""
        lease = await self._inner.take(seen, worker)
        if lease is not None:
            self._audit.taken(lease)
        return lease

    async def release(self, lease: LeaseRow, *, live_seq: str, to: str | None = None) -> None:
        """Audited."""
        await self._inner.release(lease, live_seq=live_seq, to=to)
        self._audit.released(lease)

    async def advance(self, lease: LeaseRow, watermark_ms: int) -> LeaseRow:
        """Audited."""
        row = await self._inner.advance(lease, watermark_ms)
        self._audit.advanced(lease)
        return row

    async def insert(self, rows: Sequence[LeaseRow]) -> None:
        """Audited."""
        await self._inner.insert(rows)
        self._audit.changed("insert")

    async def remove(self, row: LeaseRow) -> None:
        """Audited."""
        await self._inner.remove(row)
        self._audit.changed("remove")

    async def commit(
        self, lease: LeaseRow, entry: LedgerEntry | None, *, children: Sequence[LeaseRow] | None = None
    ) -> LeaseRow:
        """Audited."""
        row = await self._inner.commit(lease, entry, children=children)
        self._audit.committed(lease, entry, ended=children is not None)
        return row

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class NewestOnly:
    """A LiveState that keeps each device's newest order key: the guard's outcome, without what readers would see."""

    def __init__(self) -> None:
        self.orders: dict[str, str] = {}
        self._epoch: str | None = None
        self._rebuilds: set[str] = set()

    async def write(self, rows: pa.RecordBatch) -> LiveReport:
        """Take in rows through the guard."""
        await asyncio.sleep(0)
        selection = select_newest(rows, 0)
        places = pa.array(selection.newest)
        sequences, subs = rows.column("sequence_number").take(places), rows.column("sub_sequence").take(places)
        times = selection.ts_ms[selection.newest], selection.row_arrival_ms[selection.newest]
        orders = order_keys(*times, sequences, subs.to_numpy()).to_pylist()
        updated = 0
        for device, order in zip(selection.device_ids.to_pylist(), orders, strict=True):
            if self.newer(order, self.orders.get(device, "")):
                self.orders[device] = order
                updated += 1
        return LiveReport(len(orders), updated)

    def client(self, name: str) -> "NewestOnly":
        """What a worker talks to."""
        return self

    def newer(self, order: str, held: str) -> bool:
        """The guard."""
        return order > held

    async def sweep(self, now_ms: int) -> int:
        """No history is as long as devices stay."""
        return 0

    async def epoch(self) -> str | None:
        """The epoch, or None."""
        await asyncio.sleep(0)
        return self._epoch

    async def mark_incomplete(self) -> None:
        """As where all is lost, but what is there stays."""
        await asyncio.sleep(0)
        self._epoch, self._rebuilds = None, set()

    async def begin_rebuild(self, token: str) -> None:
        """Remembered until all is lost."""
        await asyncio.sleep(0)
        self._rebuilds.add(token)

    async def rebuilding(self, token: str) -> bool:
        """Whether it is remembered."""
        await asyncio.sleep(0)
        return token in self._rebuilds

    async def give_up_rebuild(self, token: str) -> None:
        """Remembered no more."""
        await asyncio.sleep(0)
        self._rebuilds.discard(token)

    async def end_rebuild(self, token: str) -> bool:
        """Complete, unless all was lost meanwhile."""
        await asyncio.sleep(0)
        if token not in self._rebuilds:
            return False
        self._rebuilds.remove(token)
        self._epoch = token
        return True

    def wipe(self) -> None:
        """All is lost, the epoch and what was begun too."""
        self.orders, self._epoch, self._rebuilds = {}, None, set()

    async def close(self) -> None:
        """Nothing to close."""
