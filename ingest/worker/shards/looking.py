"""How often a worker reads all lease rows: at once where something is in motion, else in turns with the others."""

import random
from collections.abc import Callable, Collection, Sequence

from contracts.ledger import LeaseRow
from ingest.batch import ShardId
from ingest.leases import Observer
from ingest.runtime.clock import Clock

_LONGEST_S = 12.0
"""Health pages and the copy of the watermarks show the rows as last read."""
_ALONE = 1 / 8
"""The wait between two looks of a worker that is alone, as a share of the TTL."""
_SUSPECT = 1 / 2
"""A heartbeat that has not changed for this share of the TTL, where a third is usual, is watched closely."""
_APART = 0.5
"""Waits are shorter by up to this share, so that workers that started together do not look together."""


class Looking:
    """When the next look at all rows is due.

    Of W workers each looks every W/8 of a TTL, a TTL at most: together they look as often as one that is alone, and the
    first to see that a heartbeat has not changed for one TTL sees it as soon. What cannot wait is told by the table's
    count of changes (LeaseTable.changes), or is seen in the rows of the last look: a shard without an owner that can be
    read, an owner whose heartbeat stands still, a shard that this worker holds no more.
    """

    def __init__(
        self, worker: str, observer: Observer, clock: Clock, ttl_s: float, is_paused: Callable[[ShardId], bool]
    ) -> None:
        self._worker = worker
        self._observer = observer
        self._clock = clock
        self._ttl_s = ttl_s
        self._is_paused = is_paused
        self._chance = random.Random(worker)  # noqa: S311
        self._held: frozenset[ShardId] = frozenset()
        self._suspect = False
        self._due_s = 0.0
        self._changes: int | None = None

    def looked(self, rows: Sequence[LeaseRow], held: Collection[ShardId], changes: int | None) -> None:
        """A look is over. changes: the table's count from before the rows were read."""
        workers = {row.owner for row in rows if row.owner is not None} | {self._worker}
        wait_s = min(_LONGEST_S, self._ttl_s * min(1.0, _ALONE * len(workers)))
        self._due_s = self._clock.monotonic_s() + wait_s * (1 - _APART * self._chance.random())
        self._held, self._changes = frozenset(held), changes
        others = [row for row in rows if row.owner is not None and not row.ended and row.shard_id not in held]
        self._suspect = any(self._observer.unchanged_s(row) >= _SUSPECT * self._ttl_s for row in others)

    def is_due(self, rows: Sequence[LeaseRow], held: Collection[ShardId]) -> bool:
        """Whether a look is due by what is known here, without asking the table."""
        if self._changes is None or self._suspect or self._held != frozenset(held):
            return True
        if self._clock.monotonic_s() >= self._due_s:
            return True
        unended = {row.shard_id for row in rows if not row.ended}
        return any(self._is_in_motion(row, held, unended) for row in rows if not row.ended)

    def is_changed(self, changes: int | None) -> bool:
        """Whether the table's count of changes is another than at the last look."""
        return changes != self._changes

    def _is_in_motion(self, row: LeaseRow, held: Collection[ShardId], unended: set[ShardId]) -> bool:
        if row.shard_id in held:
            return False
        if row.owner is None:
            return not self._is_paused(row.shard_id) and unended.isdisjoint(row.parents)
        return row.owner == self._worker
