"""Fills a shard's gap in live state from landing, while the shard is read."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import structlog

from contracts.ledger import LANDED, LandedObject, LeaseRow, LedgerEntry
from ingest.batch import ShardId
from ingest.kinesis import StreamClient, StreamUnavailable
from ingest.landing import ObjectStore
from ingest.leases.protocol import Leases, entries_by_page
from ingest.runtime.clock import Clock
from ingest.runtime.metrics import LANDING, LEASES, READS, Metrics
from ingest.runtime.offload import Offload
from ingest.runtime.retry import Retry
from ingest.runtime.tasks import cancelled
from ingest.worker.live.landed import ObjectGone, landed_rows, long_unseen
from ingest.worker.live.writer import LiveWriter
from ingest.worker.reading.start import stream_now_ms

_LOOK_S = 1.0
_AFTER_A_FAULT_S = 60.0
_log = structlog.get_logger()


class CatchUp:
    """Writes the landed records of a shard that live state lacks: those that the last owner of the shard, or of its
    ended ancestors, had not written yet, and those that were dropped while live state was down.

    Promises
    - It delays neither reading nor landing, and an error of its own does not end the shard.
    - One landing object is in memory at a time, over all shards of the worker.
    - An object that can no longer be read is counted in `LiveWriter.live_gaps`: live state must then be rebuilt.
    Every write passes the newer-than guard, so a record that live state has changes nothing. Live state takes records
    in the order in which they were offered: if it has any record of a shard, it has all records of its ancestors.
    """

    def __init__(
        self,
        live: LiveWriter,
        lease: LeaseRow,
        *,
        stream: StreamClient,
        leases: Leases,
        store: ObjectStore,
        offload: Offload,
        clock: Clock,
        metrics: Metrics,
        unseen_ms: int,
    ) -> None:
        self._live = live
        self._lease = lease
        self._stream = stream
        self._leases = leases
        self._store = store
        self._offload = offload
        self._clock = clock
        self._unseen_ms = unseen_ms
        self._retry = Retry(clock, metrics, lease.shard_id)
        behind = lease.live_seq != lease.position or (not lease.live_seq and bool(lease.parents))
        live.begin(lease.shard_id, lease.live_seq, lease.position if behind else None)

    @property
    def done(self) -> bool:
        """Whether live state has every record that was read of the shard."""
        return not self._live.progress.has_gap(self._lease.shard_id)

    async def run(self) -> None:
        """Fill gaps until cancelled."""
        while True:
            try:
                await self._run()
            except StreamUnavailable:
                await self._clock.sleep(_LOOK_S)
            except Exception:  # noqa: BLE001 - landing is the truth and goes on, whatever fails here
                _log.exception("live.catch_up_failed", shard=self._lease.shard_id)
                await self._clock.sleep(_AFTER_A_FAULT_S)

    async def _run(self) -> None:
        shard_id, progress = self._lease.shard_id, self._live.progress
        if not self.done:
            for behind in await self._ancestors():
                await self._bring(behind.shard_id, behind.live_seq)
        while True:
            await progress.gap_opened(shard_id)
            await self._bring(shard_id, progress.written(shard_id))
            progress.filled(shard_id, progress.written(shard_id))
            if not self.done:
                # Records were read and dropped, and have not landed yet.
                await self._clock.sleep(_LOOK_S)

    async def _bring(self, shard_id: ShardId, after: str) -> None:
        async for entry in entries_by_page(self._leases, shard_id, after, ask=self._asked):
            for landed in entry.objects:
                if landed.kind == LANDED:
                    await self._write(landed)
            if shard_id == self._lease.shard_id:
                self._live.progress.filled(shard_id, entry.last_seq)

    async def _asked(self, page: Callable[[], Awaitable[list[LedgerEntry]]]) -> list[LedgerEntry]:
        return await self._retry.until_done(LEASES, page, kind=READS)

    async def _write(self, landed: LandedObject) -> None:
        async with self._live.again:
            read = partial(landed_rows, self._store, self._offload, landed.key)
            try:
                for batch in await self._retry.until_done(LANDING, read, kind=READS):
                    await self._live.write_again(batch)
            except ObjectGone as error:
                if not long_unseen(landed, await stream_now_ms(self._stream), self._unseen_ms):
                    _log.error("live.lost", why=str(error))
                    self._live.live_gaps += 1

    async def _ancestors(self) -> list[LeaseRow]:
        """The ended ancestors of which live state may lack records, the oldest first."""
        lease = self._lease
        if lease.live_seq or not lease.parents:
            return []
        rows = {row.shard_id: row for row in await self._retry.until_done(LEASES, self._leases.rows, kind=READS)}
        lines = [lease]
        for row in lines:
            if not row.live_seq:
                lines += [rows[parent] for parent in row.parents if parent in rows and rows[parent] not in lines]
        return [row for row in reversed(lines[1:]) if row.live_seq != row.position]


@asynccontextmanager
async def beside(catch_up: CatchUp | None) -> AsyncIterator[None]:
    """Catch up while inside the block."""
    tasks = [] if catch_up is None else [asyncio.create_task(catch_up.run())]
    try:
        yield
    finally:
        await cancelled(tasks)
