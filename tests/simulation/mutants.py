"""Faults put into the consumer on purpose: each must be caught, or the simulation proves nothing.

Each replaces one part of what runs, never the product's own files.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import numpy as np

from contracts.errors import FleetlakeError
from contracts.ledger import LeaseRow
from ingest.landing import flush
from ingest.runtime.metrics import LANDING
from ingest.runtime.retry import Retry
from ingest.worker.landing import budget, delivery, janitor
from ingest.worker.live import catch_up, rebuild, writer
from ingest.worker.reading import decoding, end, retention, suspicion
from ingest.worker.shards import coordinator, task
from tests.simulation.broken_stores import (
    AnyoneAdvances,
    EqualArrivals,
    EqualTimes,
    NoCondition,
    NoFence,
    NoGuard,
    NoPosition,
)
from tests.simulation.script import WRITE
from tests.simulation.world import Made

_CHECK = retention.Horizon.check
_OFFER = writer.LiveWriter.offer
_TAKE_IN = task.ShardTask._take_in
_UNTIL_DONE = Retry.until_done
_FEW = 3
_SCRIPT_GUARD = "if sub(value, ORDER_FROM, ORDER_TO) > sub(old, ORDER_FROM, ORDER_TO) then"


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


async def _nothing_caught_up(self: Any) -> None:
    await asyncio.Event().wait()


def _written_when_offered(self: Any, rows: Any, shard_id: str, last_seq: str) -> None:
    _OFFER(self, rows, shard_id, last_seq)
    self.progress.wrote({shard_id: last_seq})


async def _all_unlisted(leases: Any, found: Any) -> Any:
    return list(found)


async def _landed_at_once(self: Any, rows: Any, *, now_ms: int) -> None:
    """Whatever owners hold."""


async def _last_dropped(self: Any, answer: Any) -> None:
    if len(answer.records) > _FEW and answer.records[0].sequence_number.endswith("8"):
        answer = dataclasses.replace(answer, records=answer.records[:-1])
    await _TAKE_IN(self, answer)


def _whole(decoder: Any, shard_id: str, records: Any) -> list[Any]:
    """No record is set aside, so one that breaks the decoder breaks its shard for ever."""
    return [decoder.decode(shard_id, records)]


async def _broken_is_done(self: Any, sink: str, operation: Any, **more: Any) -> Any:
    """What breaks while landing is written is taken for done."""
    try:
        return await _UNTIL_DONE(self, sink, operation, **more)
    except Exception as error:
        if sink != LANDING or isinstance(error, FleetlakeError):
            raise


def _own_rows(shards: Sequence[Any], rows: Sequence[LeaseRow], *, now_ms: int, start_ms: int = 0) -> list[LeaseRow]:
    known = {row.shard_id for row in rows}
    return [LeaseRow(shard_id=shard.shard_id) for shard in shards if shard.shard_id not in known]


Mutant = Callable[[], tuple[Made, AbstractContextManager[Any]]]


def _replaced(made: Made) -> Mutant:
    return lambda: (made, nullcontext())


def _patched(target: Any, name: str, by: Any) -> Mutant:
    return lambda: (Made(), patch.object(target, name, by))


def _altered(before: str, after: str) -> str:
    """The script of live state with a fault."""
    if before not in WRITE:
        raise ValueError(f"write.lua has no {before!r}")
    return WRITE.replace(before, after)


@contextmanager
def _children_at_once() -> Iterator[None]:
    with patch.object(coordinator, "readable", _always), patch.object(coordinator, "rows_to_insert", _own_rows):
        yield


MUTANTS: dict[str, Mutant] = {
    "no fence": _replaced(Made(leases=NoFence)),
    "no position": _replaced(Made(leases=NoPosition)),
    "anyone advances": _replaced(Made(leases=AnyoneAdvances)),
    "no ledger condition": _replaced(Made(leases=NoCondition)),
    "no guard": _replaced(Made(live=NoGuard)),
    "equal times": _replaced(Made(live=EqualTimes)),
    "equal times and arrivals": _replaced(Made(live=EqualArrivals)),
    "script without guard": _replaced(Made(script=_altered(_SCRIPT_GUARD, "if true then"))),
    "script forgets places": _replaced(Made(script=_altered("if new_place < old_place then", "if false then"))),
    "no catch-up": _patched(catch_up.CatchUp, "_run", _nothing_caught_up),
    "offered is written": _patched(writer.LiveWriter, "offer", _written_when_offered),
    "rebuild does not wait": _patched(rebuild.LiveStateRebuilder, "_until_landed", _landed_at_once),
    "last record dropped": _patched(task.ShardTask, "_take_in", _last_dropped),
    "no record set aside": _patched(decoding, "decode_around", _whole),
    "broken is done": _patched(Retry, "until_done", _broken_is_done),
    "janitor asks no ledger": _patched(janitor, "unlisted", _all_unlisted),
    "filed by arrival": _patched(flush._Filing, "_hours", _filed_by_arrival),
    "hasty watermark": _patched(delivery.Delivery, "_empty", property(_at_once)),
    "children at once": lambda: (Made(), _children_at_once()),
    "boundless": _patched(budget.Budget, "room", _room_at_once),
    "every end believed": _patched(end.End, "children", _ends_believed),
    "no record tried": _patched(suspicion.Suspicion, "failing", _none_tried),
    "always told": _patched(retention.Horizon, "check", _always_told),
    "never told": _patched(retention.Horizon, "check", _never_told),
    "janitor spares nothing": lambda: (
        Made(options={"sweep_every_s": 5.0, "sweep_all_every_s": 15.0}),
        patch.object(janitor, "_is_over", _spares_nothing),
    ),
}
"""By name."""


@contextmanager
def mutated(name: str | None) -> Iterator[Made]:
    """While this lasts the consumer has that fault; None is none."""
    made, broken = MUTANTS[name]() if name else (Made(), nullcontext())
    with broken:
        yield made
