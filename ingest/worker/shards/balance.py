"""Which shards a worker takes and asks for so that load spreads, decided by the lease rows alone."""

import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from contracts.ledger import LeaseRow
from ingest.batch import ShardId

_BASE_LOAD = 0.5
"""The weight of a shard without load, as a share of the mean load: idle streams balance by count."""
_WORTH_MOVING = 0.2
"""A move must lower the larger of the two loads by this share of a mean shard."""
_FEW, _PART = 4, 1 / 16
"""A worker takes so many free shards, or this part of all if that is more, before it looks again."""
_MOMENT, _WHILE = 1 / 1000, 1 / 16
"""Waits between steps as shares of the TTL: up to a worker's fair share, and beyond it."""


def loads(rows: Sequence[LeaseRow]) -> dict[ShardId, float]:
    """Each unended shard's load; the mean is about 1. Records and bytes count alike, the larger share decides."""
    alive = [row for row in rows if not row.ended]
    records = sum(row.records_per_s for row in alive) or 1.0
    size = sum(row.bytes_per_s for row in alive) or 1.0
    return {
        row.shard_id: _BASE_LOAD + len(alive) * max(row.records_per_s / records, row.bytes_per_s / size)
        for row in alive
    }


def shard_to_ask_for(rows: Sequence[LeaseRow], worker: str, *, alive: Iterable[str]) -> LeaseRow | None:
    """The row whose owner this worker should ask for it, or None where a move would not help.

    Only one request of a worker at a time is open, and only owners in `alive` are asked.
    """
    if any(row.wanted_by == worker and not row.ended for row in rows):
        return None
    weight = loads(rows)
    owned: dict[str, list[LeaseRow]] = defaultdict(list)
    for row in rows:
        if row.owner is not None and not row.ended:
            owned[row.owner].append(row)
    load = {owner: sum(weight[row.shard_id] for row in mine) for owner, mine in owned.items()}
    own = load.get(worker, 0.0)
    best, best_gain = None, _WORTH_MOVING
    for owner in set(alive) - {worker}:
        for row in owned.get(owner, ()):
            moved = weight[row.shard_id]
            gain = load[owner] - max(load[owner] - moved, own + moved)
            if row.wanted_by is None and (gain, row.shard_id) > (best_gain, best.shard_id if best else ""):
                best, best_gain = row, gain
    return best


def fair_share(shards: int, workers: int) -> int:
    """Shards that one of `workers` takes without asking."""
    return -(-shards // max(1, workers))


class Step(NamedTuple):
    """Free shards to take, and how long to wait before looking at the rows again, as a share of the ttl."""

    shards: int
    then_wait: float


class Steps:
    """Steps in which a worker takes free shards, so that workers that start together get equally many.

    None knows of the others before it sees their leases, so each takes a few shards at a time up to its fair share.
    Beyond that it waits while others take shards; then its steps double, so that no shard stays unread for long.
    """

    def __init__(self) -> None:
        self._beyond = 0
        self._taken_by_others = 0

    def next(self, unended: int, *, own: int, others: Sequence[str]) -> Step:
        """The next step of a worker with `own` shards of `unended`; others: the living owner of each other shard."""
        still_taking = len(others) > self._taken_by_others
        self._taken_by_others = len(others)
        left = fair_share(unended, len(set(others)) + 1) - own
        if left > 0:
            return Step(min(left, max(_FEW, int(unended * _PART))), _MOMENT)
        if still_taking:
            return Step(0, _WHILE)
        step, self._beyond = self._beyond, max(1, 2 * self._beyond)
        return Step(step, _WHILE)


def own_order(rows: Sequence[LeaseRow], worker: str) -> list[LeaseRow]:
    """The rows, from a start of the worker's own: workers that start together rarely try the same row at once."""
    start = zlib.crc32(worker.encode()) % max(1, len(rows))
    return [*rows[start:], *rows[:start]]
