"""Faults put into the consumer on purpose: each must be caught, or the simulation proves nothing.

Each replaces one part of what runs, never the product's own files.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import numpy as np
from msgspec.structs import replace

from contracts.ledger import LeaseRow, LedgerEntry
from contracts.names import padded_sequence
from ingest.landing import flush
from ingest.leases.memory import MemoryLeases
from ingest.worker.landing import budget, delivery, janitor
from ingest.worker.reading import end, retention, suspicion
from ingest.worker.shards import coordinator
from tests.simulation.stores import NewestOnly
from tests.simulation.world import Made

_CHECK = retention.Horizon.check


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


def _filed_by_arrival(self: Any, arrivals: Any) -> np.ndarray:
    filed: np.ndarray = flush._ms(arrivals) // flush.HOUR_MS
    return filed


def _at_once(self: Any) -> bool:
    return not self._sealed


def _spares_nothing(found: Any, row: LeaseRow | None) -> bool:
    return row is not None and found.fence <= row.fence


async def _room_at_once(self: Any) -> None:
    """Whatever is held."""


def _always(row: LeaseRow, *_: Any) -> bool:
    return not row.ended


async def _always_told(self: Any, stream: Any, answer: Any) -> bool:
    await _CHECK(self, stream, answer)
    return True


async def _never_told(self: Any, stream: Any, answer: Any) -> bool:
    await _CHECK(self, stream, answer)
    return False


async def _ends_believed(self: Any, answer: Any) -> Any:
    return answer.child_shards if answer.next_iterator is None else None


async def _none_tried(self: Any, records: Any, position: str) -> frozenset[int]:
    return frozenset()


def _own_rows(shards: Sequence[Any], rows: Sequence[LeaseRow], *, now_ms: int, start_ms: int = 0) -> list[LeaseRow]:
    known = {row.shard_id for row in rows}
    return [LeaseRow(shard_id=shard.shard_id) for shard in shards if shard.shard_id not in known]


Mutant = Callable[[], tuple[Made, AbstractContextManager[Any]]]


def _replaced(made: Made) -> Mutant:
    return lambda: (made, nullcontext())


def _patched(target: Any, name: str, by: Any) -> Mutant:
    return lambda: (Made(), patch.object(target, name, by))


@contextmanager
def _children_at_once() -> Iterator[None]:
    with patch.object(coordinator, "readable", _always), patch.object(coordinator, "rows_to_insert", _own_rows):
        yield


MUTANTS: dict[str, Mutant] = {
    "no fence": _replaced(Made(leases=NoFence)),
    "no position": _replaced(Made(leases=NoPosition)),
    "anyone advances": _replaced(Made(leases=AnyoneAdvances)),
    "no guard": _replaced(Made(live=NoGuard)),
    "filed by arrival": _patched(flush._Filing, "_hours", _filed_by_arrival),
    "hasty watermark": _patched(delivery.Delivery, "_empty", property(_at_once)),
    "children at once": lambda: (Made(), _children_at_once()),
    "boundless": _patched(budget.Budget, "room", _room_at_once),
    "every end believed": _patched(end.End, "children", _ends_believed),
    "no record tried": _patched(suspicion.Suspicion, "failing", _none_tried),
    "always told": _patched(retention.Horizon, "check", _always_told),
    "never told": _patched(retention.Horizon, "check", _never_told),
    "janitor spares nothing": _patched(janitor, "_is_over", _spares_nothing),
}
"""By name."""


@contextmanager
def mutated(name: str | None) -> Iterator[Made]:
    """While this lasts the consumer has that fault; None is none."""
    made, broken = MUTANTS[name]() if name else (Made(), nullcontext())
    with broken:
        yield made
