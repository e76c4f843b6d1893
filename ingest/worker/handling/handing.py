"""Gives a shard's records to a handler, and commits what the handler says is done."""

import asyncio
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import structlog

from contracts.errors import Misuse, SinkUnavailable
from contracts.ledger import LeaseRow
from ingest.batch import BATCH_OVERHEAD_BYTES, Batch
from ingest.kinesis import Shard
from ingest.landing import joined
from ingest.runtime.metrics import HANDLER, Metrics
from ingest.runtime.retry import Backoff, Retry
from ingest.worker.handling.portion import Portion
from ingest.worker.handling.records import Handling, Poison, ShardRecords
from ingest.worker.handling.unpacked import Unpacked
from ingest.worker.landing.budget import Budget
from ingest.worker.landing.delivery import Delivery

_AHEAD = 2
"""Answers of a shard that wait for the handler before the shard is read on."""
_WAITS = Backoff(0.2, 15.0)
_log = structlog.get_logger()


class Handing:
    """A delivery of one shard by way of a handler; `inner` commits what is done.

    Promises
    - ShardRecords' and Handling's to the handler.
    - The lease's position moves over a record only once a checkpoint covers it, or it is set aside and nothing before
      it is open.
    - The shard ends once everything is checkpointed. `close` lets a call end, then gives up.
    - A record set aside is in rejected/, as `poison`, in the entry that moves the position over it.
    """

    def __init__(self, inner: Delivery, handling: Handling, *, metrics: Metrics, budget: Budget, retry: Retry) -> None:
        self._inner = inner
        self._handling = handling
        self._metrics = metrics
        self._budget = budget
        self._retry = retry
        self._queue: deque[Batch] = deque()
        self._open: Batch | None = None
        """Given to the handler, of earlier answers, and not checkpointed."""
        self._portion: Portion | None = None
        self._failures = 0
        self._tip_ms: int | None = None
        self._end: tuple[Sequence[Shard], Callable[[], str]] | None = None
        self._closed = asyncio.Event()
        self._changed = asyncio.Event()

    @property
    def lease(self) -> LeaseRow:
        """The lease as last committed."""
        return self._inner.lease

    @property
    def idle(self) -> bool:
        """Whether the shard is read to its tip and everything was given to the handler."""
        return self._tip_ms is not None and not self._queue and self._portion is None

    @property
    def commits(self) -> int:
        """Flushes committed."""
        return self._inner.commits

    async def all_committed(self) -> None:
        """Nothing to wait for: the shard may go at any time, and the next owner's handler is given what is open."""

    async def next_commit(self) -> None:
        """Wait for the next flush to commit."""
        await self._inner.next_commit()

    async def room(self) -> None:
        """Wait until few answers wait."""
        while len(self._queue) >= _AHEAD:
            await self._change()

    def append(self, batch: Batch) -> None:
        """Give these records to the handler next."""
        self._queue.append(batch)
        self._budget.hold(self.lease.shard_id, _size(batch))
        self._tip_ms = None
        self._changed.set()

    def at_tip(self, response_ms: int) -> None:
        """The stream had nothing more at this time."""
        self._tip_ms = response_ms
        self._pass_tip_on()
        self._changed.set()

    def mark_trimmed(self) -> None:
        """The stream trimmed unread records."""
        self._inner.mark_trimmed()

    def end(self, children: Sequence[Shard], live_seq: Callable[[], str]) -> None:
        """The shard is read to its end."""
        self._end = (children, live_seq)
        self._changed.set()

    def close(self) -> None:
        """No batch follows, and what waits need not be handled."""
        self._closed.set()
        self._changed.set()

    async def release(self, live_seq: str, to: str | None) -> None:
        """Release the lease."""
        await self._inner.release(live_seq, to)

    async def run(self) -> None:
        """Hand over and commit until closed, or ended with everything checkpointed."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._inner.run())
                tasks.create_task(self._hand_all())
        except ExceptionGroup as group:
            raise group.exceptions[0] from group
        finally:
            self._retry.worked(HANDLER, kind=self.lease.shard_id)

    async def _hand_all(self) -> None:
        while (batch := await self._next()) is not None:
            await self._hand(batch)
            self._budget.free(self.lease.shard_id, _size(batch))
            self._pass_tip_on()
        await self._last_call()
        if self._end is not None and self._open is None and not self._queue:
            self._inner.end(*self._end)
        else:
            self._inner.close()

    async def _next(self) -> Batch | None:
        while not self._closed.is_set():
            if self._queue:
                self._changed.set()
                return self._queue.popleft()
            if self._end is not None:
                break
            await self._change()
        return None

    async def _hand(self, batch: Batch) -> None:
        """Give the records of a batch to the handler until it has taken them all, or until closed."""
        if not isinstance(batch, Unpacked):
            self._keep_open(batch)
            return
        portion = self._portion = Portion(batch)
        most, count = self._handling.most_records, len(portion.records)
        work: list[Sequence[int]] = [
            range(start, min(start + most, count)) for start in reversed(range(0, count, most))
        ]
        while work and not self._closed.is_set():
            places = portion.left_of(work.pop())
            if places:
                work += await self._give(portion, places)
        if not work:
            portion.handed = count
        self._portion = None
        self._keep_open(portion.taken(portion.past_aside(portion.handed)))

    async def _give(self, portion: Portion, places: list[int]) -> list[Sequence[int]]:
        """One call; gives what has to be given next, the last of it first."""
        given = [portion.records[place] for place in places]
        done = partial(self._checkpoint, portion, places)
        handling = self._handling
        try:
            await handling.handler(ShardRecords(self.lease.shard_id, given, done))
        except Poison as poison:
            if poison.record not in given:
                return await self._again(places, poison)
            return await self._set_aside(portion, places, given.index(poison.record), poison.__cause__ or poison)
        except handling.poison as error:
            if len(places) == 1:
                return await self._set_aside(portion, places, 0, error)
            self._count(error)
            middle = len(places) // 2
            return [places[middle:], places[:middle]]
        except Exception as error:  # noqa: BLE001 - whatever a handler raises, its records come again
            return await self._again(places, error)
        self._worked()
        portion.handed = places[-1] + 1
        return []

    async def _checkpoint(self, portion: Portion, places: Sequence[int], count: int) -> None:
        if portion is not self._portion:
            raise Misuse("a checkpoint belongs into the call that was given the records, or into a later one")
        if count:
            await self._commit(portion, places[count - 1] + 1)

    async def _commit(self, portion: Portion, upto: int) -> None:
        """Commit everything open, and this portion's records up to a place."""
        portion.done = max(portion.done, portion.past_aside(upto))
        self._keep_open(portion.taken(portion.done))
        await self._commit_open()

    async def _commit_open(self) -> None:
        batch, self._open = self._open, None
        if batch is not None:
            self._inner.append(batch)
            await self._inner.until_committed()

    def _keep_open(self, batch: Batch | None) -> None:
        if batch is not None:
            self._open = batch if self._open is None else joined(self._open, batch)

    async def _set_aside(
        self, portion: Portion, places: list[int], number: int, error: BaseException
    ) -> list[Sequence[int]]:
        place = places[number]
        record = portion.records[place]
        about = {"shard": self.lease.shard_id, "sequence": record.sequence_number, "sub": record.sub_sequence}
        _log.error("record.poison", **about, step="handle", error=type(error).__name__)
        self._count(error)
        portion.set_aside(place, error)
        if self._open is None and portion.done == place:
            await self._commit(portion, place)
        return [places]

    async def _again(self, places: list[int], error: Exception) -> list[Sequence[int]]:
        await self._failed(error)
        return [places]

    async def _last_call(self) -> None:
        """Where something is open, tell the handler that no call follows; at the shard's end until it checkpoints."""
        while self._open is not None:
            try:
                await self._handling.handler(ShardRecords(self.lease.shard_id, (), self._last_checkpoint, ending=True))
            except Exception as error:  # noqa: BLE001 - as above
                await self._failed(error)
            else:
                if self._open is not None and self._end is not None:
                    _log.error("handler.not_checkpointed", shard=self.lease.shard_id, last_seq=self._open.last_seq)
                    await self._pause()
            if self._closed.is_set() or self._end is None:
                return

    async def _last_checkpoint(self, _count: int) -> None:
        await self._commit_open()

    async def _failed(self, error: Exception) -> None:
        """Wait after an error that may pass, longer each time."""
        self._count(error)
        shown = SinkUnavailable(_place_of(error))
        self._retry.failed(HANDLER, shown, kind=self.lease.shard_id)
        await self._pause()

    async def _pause(self) -> None:
        self._failures += 1
        with suppress(TimeoutError):
            async with asyncio.timeout(_WAITS.after_s(self._failures)):
                await self._closed.wait()

    def _worked(self) -> None:
        self._failures = 0
        self._retry.worked(HANDLER, kind=self.lease.shard_id)

    def _count(self, error: BaseException) -> None:
        self._metrics.handler_errors.labels(type(error).__name__).inc()

    def _pass_tip_on(self) -> None:
        if self.idle and self._open is None and self._tip_ms is not None:
            self._inner.at_tip(self._tip_ms)

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


def _size(batch: Batch) -> int:
    """Bytes that a batch holds while it waits."""
    if not isinstance(batch, Unpacked):
        return BATCH_OVERHEAD_BYTES
    return sum(map(len, batch.users.datas)) + BATCH_OVERHEAD_BYTES


def _place_of(error: Exception) -> str:
    """The error's class and place; its text may quote a record."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"the handler raised {type(error).__name__}{place}"
