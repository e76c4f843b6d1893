"""Rebuilds live state from landing, where it was lost or never built."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, Self

import pyarrow as pa
import structlog

from contracts.errors import SinkUnavailable
from contracts.ledger import LANDED, LandedObject, LeaseRow, LedgerEntry
from contracts.names import LAST_SEQ
from ingest.batch import ShardId
from ingest.kinesis import StreamClient, StreamUnavailable
from ingest.landing import ObjectStore
from ingest.leases.protocol import Leases, entries_by_page, entries_from_the_newest
from ingest.live import LiveState
from ingest.runtime.clock import Clock
from ingest.runtime.metrics import Metrics
from ingest.runtime.offload import Offload
from ingest.runtime.retry import Backoff
from ingest.worker.live.isolate import write_around
from ingest.worker.live.landed import HOUR_MS, ObjectGone, landed_rows, long_unseen
from ingest.worker.reading.start import stream_now_ms

_LOOK_S = 2.0
_OBJECTS_AT_ONCE = 3
"""Landing objects in memory at once: each is some 10 MB of Parquet."""
_PAUSES = Backoff(60.0, 21_600.0, factor=4)
_log = structlog.get_logger()


class History(Protocol):
    """Rows that have expired in landing, for a rebuild of live state."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Rows of contracts.record.LANDING_SCHEMA, in any order."""
        ...

    def holds(self, landed: LandedObject) -> bool:
        """Whether `batches` has the rows of that landing object."""
        ...


class LiveStateRebuilder:
    """Completes live state where its epoch is missing, while consumers go on.

    A rebuild writes every landing object that the ledger lists through the newer-than guard, except objects that live
    state would forget at once; then it waits until what workers held in memory has landed, and writes that too. It sets
    the epoch last, and only if live state was not lost again meanwhile. The shards' watermarks tell when everything has
    landed, not a clock: a worker may be paused in between for any time.
    One worker rebuilds: the owner of the first shard that has an owner. Where some objects have expired, live state
    stays incomplete until `history` brings their rows (`fleetlake rebuild-live`); the worker repeats the attempt at
    growing intervals, and at once where live state was lost again.
    live_gaps: how often this worker found a gap in live state that may exist although the epoch is set.
    """

    def __init__(
        self,
        live: LiveState,
        *,
        stream: StreamClient,
        leases: Leases,
        store: ObjectStore,
        offload: Offload,
        clock: Clock,
        metrics: Metrics,
        worker: str,
        unseen_ms: int,
        live_gaps: Callable[[], int] = lambda: 0,
        history: History | None = None,
    ) -> None:
        self._live = live
        self._stream = stream
        self._leases = leases
        self._store = store
        self._offload = offload
        self._clock = clock
        self._metrics = metrics
        self._worker = worker
        self._unseen_ms = unseen_ms
        self._live_gaps = live_gaps
        self._gaps_reported = 0
        self._history = history
        self._epoch_set = False
        self._first = True
        self._attempts = 0
        self._incomplete = 0
        self._paused: tuple[str, float] | None = None

    @property
    def complete(self) -> bool:
        """Whether the epoch was set at the last look, and no gap was found since."""
        return self._epoch_set and self._gaps_reported == self._live_gaps()

    async def look(self) -> None:
        """Check whether live state is complete; rebuild it where a rebuild is due and this worker is elected."""
        try:
            await self._report_gaps()
            self._epoch_set = await self._live.epoch() is not None
            if not self._epoch_set and await self._is_due():
                await self.rebuild()
            self._first = False
        except (SinkUnavailable, StreamUnavailable) as error:
            self._epoch_set = False
            _log.warning("live.later", error=str(error))

    async def rebuild(self, *, elected: bool = False) -> bool:
        """Rebuild once, if this worker owns the first shard or is `elected` anyway; whether live state is complete.

        Raises SinkUnavailable, StreamUnavailable.
        """
        self._attempts += 1
        token = f"{self._worker}.{self._attempts}"
        await self._live.begin_rebuild(token)
        kept = False
        try:
            # A loss of live state from here on removes the token, so the rows as of now say what to write.
            listed = await self._leases.shards()
            rows = await self._leases.rows()
            if not elected and not self._is_elected(rows):
                return False
            complete = await self._write_all(rows, listed)
            await self._report_gaps()
            self._epoch_set = kept = complete and await self._live.end_rebuild(token)
            if not complete:
                kept = self._pause(token)
                _log.error("live.incomplete", why="landing objects have expired: fleetlake rebuild-live has history's")
            else:
                _log.info("live.complete" if self._epoch_set else "live.lost_again")
            return self._epoch_set
        finally:
            if not kept:
                with suppress(SinkUnavailable):
                    await self._live.give_up_rebuild(token)

    async def _report_gaps(self) -> None:
        """Remove the epoch where a gap was found; a rebuild in progress then ends without setting one."""
        live_gaps = self._live_gaps()
        if live_gaps > self._gaps_reported:
            self._epoch_set = False
            await self._live.mark_incomplete()
            self._gaps_reported = live_gaps

    def _is_elected(self, rows: Sequence[LeaseRow]) -> bool:
        owners = {row.shard_id: row.owner for row in rows if row.owner is not None}
        return not owners or owners[min(owners)] == self._worker

    def _pause(self, token: str) -> bool:
        """Keep the token as the note of this attempt: while it exists, another attempt would end in the same way."""
        self._incomplete += 1
        self._paused = (token, self._clock.monotonic_s() + _PAUSES.after_s(self._incomplete))
        return True

    async def _is_due(self) -> bool:
        if self._paused is None:
            return True
        token, until_s = self._paused
        nothing_new = await self._live.rebuilding(token)
        if nothing_new and self._clock.monotonic_s() < until_s:
            return False
        if nothing_new:
            await self._live.give_up_rebuild(token)
        else:
            self._incomplete = 0
        self._paused = None
        return True

    async def _write_all(self, rows: Sequence[LeaseRow], listed: Sequence[ShardId]) -> bool:
        """Write everything that live state must hold; False where an object cannot be read.

        listed: the ledger's shards. A shard without a row ended long ago, so no more of it will land.
        """
        # If any worker has taken a shard, live state may have held records that have not landed yet.
        if self._first and self._history is None and not any(row.fence for row in rows):
            return True
        _log.warning("live.rebuilding")
        positions = dict.fromkeys(listed, LAST_SEQ) | {row.shard_id: row.position for row in rows}
        now_ms = await stream_now_ms(self._stream)
        if self._history is not None:
            await self._write_history(self._history)
        complete = await self._write_seen(now_ms)
        await self._until_landed(rows, now_ms=await stream_now_ms(self._stream))
        return await self._write_after(positions, now_ms) and complete

    async def _write_history(self, history: History) -> None:
        batches = history.batches()
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            await write_around(self._live.write, batch, self._metrics)

    async def _until_landed(self, rows: Sequence[LeaseRow], *, now_ms: int) -> None:
        """Wait until everything read by now has landed, by each shard's watermark.

        What an owner held when it lost its lease is not waited for: the next owner reads it again.
        """
        waiting = {row.shard_id: row for row in rows if row.owner is not None and not row.ended}
        while True:
            now = {row.shard_id: row for row in await self._leases.rows()}
            waiting = {
                shard_id: row
                for shard_id, row in waiting.items()
                if shard_id in now
                and (now[shard_id].owner, now[shard_id].fence) == (row.owner, row.fence)
                and now[shard_id].watermark_ms < now_ms
            }
            if not waiting:
                return
            await self._clock.sleep(_LOOK_S)

    async def _write_seen(self, now_ms: int) -> bool:
        """Write what landed so lately that live state keeps it, in all shards; False where an object cannot be read.

        The newest first, so that the ledger is read no further back. Which came first makes no difference to the guard.
        """
        async with _Writes(self._write) as writes:
            for shard_id in await self._leases.shards():
                async for entry in entries_from_the_newest(self._leases, shard_id):
                    # Watermarks only grow, and no object is filed under a later hour than its entry's.
                    if entry.watermark_ms <= now_ms - self._unseen_ms - HOUR_MS:
                        break
                    await self._begin_writes(writes, entry, now_ms)
        return writes.complete

    async def _write_after(self, positions: Mapping[ShardId, str], now_ms: int) -> bool:
        """Write what landed after these positions, in all shards; False where an object cannot be read."""
        async with _Writes(self._write) as writes:
            for shard_id in await self._leases.shards():
                async for entry in entries_by_page(self._leases, shard_id, positions.get(shard_id, "")):
                    await self._begin_writes(writes, entry, now_ms)
        return writes.complete

    async def _begin_writes(self, writes: "_Writes", entry: LedgerEntry, now_ms: int) -> None:
        for landed in entry.objects:
            if landed.kind == LANDED and not long_unseen(landed, now_ms, self._unseen_ms):
                await writes.begin(landed)

    async def _write(self, landed: LandedObject) -> bool:
        try:
            batches = await landed_rows(self._store, self._offload, landed.key)
        except ObjectGone as error:
            if self._history is not None and self._history.holds(landed):
                return True
            _log.warning("live.gone", why=str(error))
            return False
        for batch in batches:
            await write_around(self._live.write, batch, self._metrics)
        return True


class _Writes:
    """Writes a few landing objects at once: while one is written, the next are read and decoded."""

    def __init__(self, write: Callable[[LandedObject], Awaitable[bool]]) -> None:
        self._write = write
        self._tasks = asyncio.TaskGroup()
        self._places = asyncio.Semaphore(_OBJECTS_AT_ONCE)
        self.complete = True
        """Whether each object that was begun and has ended could be read."""

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, *raised: Any) -> None:
        """Wait for all. Raises the first error as it is, whether a write or what is between them raised it."""
        try:
            await self._tasks.__aexit__(*raised)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    async def begin(self, landed: LandedObject) -> None:
        """Write an object as soon as there is a place for it."""
        await self._places.acquire()
        self._tasks.create_task(self._one(landed))

    async def _one(self, landed: LandedObject) -> None:
        try:
            read = await self._write(landed)
            self.complete = self.complete and read
        finally:
            self._places.release()
