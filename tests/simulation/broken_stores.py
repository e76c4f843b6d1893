"""Stores that each break one rule, for mutants."""

from collections.abc import Sequence

from msgspec.structs import replace

from contracts.ledger import LeaseRow, LedgerEntry
from contracts.names import padded_sequence
from ingest.leases.memory import MemoryLeases
from tests.simulation.stores import NewestOnly

_TIME, _TIMES = slice(14), slice(28)
"""Of an order key: the event time, and both times."""


class NoFence(MemoryLeases):
    """A commit asks neither for the owner nor for the fence."""

    async def commit(
        self, lease: LeaseRow, entry: LedgerEntry | None, *, children: Sequence[LeaseRow] | None = None
    ) -> LeaseRow:
        row = self._rows[lease.shard_id]
        seen = replace(lease, owner=row.owner, fence=row.fence)
        if row.ended:
            return row
        return await super().commit(seen, entry, children=children)


class NoPosition(MemoryLeases):
    """A commit asks neither for the position nor whether the entry is there."""

    async def commit(
        self, lease: LeaseRow, entry: LedgerEntry | None, *, children: Sequence[LeaseRow] | None = None
    ) -> LeaseRow:
        row = self._held(lease)
        self._rows[lease.shard_id] = replace(row, position=lease.position)
        if entry is not None:
            self._entries.pop((entry.shard_id, padded_sequence(entry.last_seq)), None)
        return await super().commit(lease, entry, children=children)


class AnyoneAdvances(MemoryLeases):
    """Anyone may move a watermark, also who lost the lease."""

    async def advance(self, lease: LeaseRow, watermark_ms: int) -> LeaseRow:
        row = self._rows[lease.shard_id]
        lost = row.lost or lease.lost
        return self._put(replace(row, watermark_ms=max(row.watermark_ms, watermark_ms), lost=lost))


class NoGuard(NewestOnly):
    """The last write wins."""

    def newer(self, order: str, held: str) -> bool:
        return True


class NoCondition(MemoryLeases):
    """A commit does not ask whether the entry is there; it overwrites it."""

    async def commit(
        self, lease: LeaseRow, entry: LedgerEntry | None, *, children: Sequence[LeaseRow] | None = None
    ) -> LeaseRow:
        if entry is not None:
            self._entries.pop((entry.shard_id, padded_sequence(entry.last_seq)), None)
        return await super().commit(lease, entry, children=children)


class EqualTimes(NewestOnly):
    """An older record with the same event time is taken."""

    def newer(self, order: str, held: str) -> bool:
        return order[_TIME] >= held[_TIME]


class EqualArrivals(NewestOnly):
    """An older record with the same event time and arrival is taken."""

    def newer(self, order: str, held: str) -> bool:
        return order[_TIMES] >= held[_TIMES]
