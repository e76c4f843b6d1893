"""What of a shard landed but did not reach live state, brought there beside its reading."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import structlog

from contracts.ledger import LANDED, LandedObject, LeaseRow
from ingest.batch import ShardId
from ingest.kinesis import StreamUnavailable
from ingest.runtime.metrics import LANDING, LEASES, READS
from ingest.runtime.retry import Retry
from ingest.runtime.tasks import cancelled
from ingest.worker.live.landed import ObjectGone, landed_rows, long_unseen
from ingest.worker.live.writer import LiveWriter
from ingest.worker.options import Parts
from ingest.worker.reading.start import stream_now_ms

_LOOK_S = 1.0
_AFTER_A_FAULT_S = 60.0
_log = structlog.get_logger()


class CatchUp:
    """Writes to live state, from landing, what a shard lacks there: what its last owner had no time for, of itself and
    of the ended shards that it came from, and what was dropped while live state was away.

    Promises
    - It holds up neither reading nor landing, and a fault of its own does not end the shard.
    - One landing object of one shard is in memory at a time.
    - What cannot be read any more is counted in `LiveWriter.live_gaps`: a rebuild is needed then.
    Everything goes through the newer-than guard, so what live state has already changes nothing. Live state takes in
    what it is offered in order: once anything of a shard is there, so is all of its ancestors.
    """

    def __init__(self, live: LiveWriter, parts: Parts, lease: LeaseRow, unseen_ms: int) -> None:
        self._live = live
        self._unseen_ms = unseen_ms
        self._parts = parts
        self._lease = lease
        self._retry = Retry(parts.clock, parts.metrics, lease.shard_id)
        behind = lease.live_seq != lease.position or (not lease.live_seq and bool(lease.parents))
        live.begin(lease.shard_id, lease.live_seq, lease.position if behind else None)

    @property
    def done(self) -> bool:
        """Whether the shard lacks nothing."""
        return not self._live.progress.has_gap(self._lease.shard_id)

    async def run(self) -> None:
        """Bring what is lacking, for ever."""
        while True:
            try:
                await self._run()
            except StreamUnavailable:
                await self._parts.clock.sleep(_LOOK_S)
            except Exception:  # noqa: BLE001 - whatever it is, landing is the truth and goes on
                _log.exception("live.catch_up_failed", shard=self._lease.shard_id)
                await self._parts.clock.sleep(_AFTER_A_FAULT_S)

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
                # Read, and dropped, but not landed yet.
                await self._parts.clock.sleep(_LOOK_S)

    async def _bring(self, shard_id: ShardId, after: str) -> None:
        entries = partial(self._parts.leases.entries, shard_id, after)
        for entry in await self._retry.until_done(LEASES, entries, kind=READS):
            for landed in entry.objects:
                if landed.kind == LANDED:
                    await self._write(landed)
            if shard_id == self._lease.shard_id:
                self._live.progress.filled(shard_id, entry.last_seq)

    async def _write(self, landed: LandedObject) -> None:
        async with self._live.again:
            read = partial(landed_rows, self._parts.store, self._parts.encoding, landed.key)
            try:
                for batch in await self._retry.until_done(LANDING, read, kind=READS):
                    await self._live.write_again(batch)
            except ObjectGone as error:
                if not long_unseen(landed, await stream_now_ms(self._parts), self._unseen_ms):
                    _log.error("live.lost", why=str(error))
                    self._live.live_gaps += 1

    async def _ancestors(self) -> list[LeaseRow]:
        """The ended shards before this one, the oldest first, of which live state may lack something."""
        lease = self._lease
        if lease.live_seq or not lease.parents:
            return []
        rows = {row.shard_id: row for row in await self._retry.until_done(LEASES, self._parts.leases.rows, kind=READS)}
        lines = [lease]
        for row in lines:
            if not row.live_seq:
                lines += [rows[parent] for parent in row.parents if parent in rows and rows[parent] not in lines]
        return [row for row in reversed(lines[1:]) if row.live_seq != row.position]


@asynccontextmanager
async def beside(catch_up: CatchUp | None) -> AsyncIterator[None]:
    """Catch up for as long as the block lasts."""
    tasks = [] if catch_up is None else [asyncio.create_task(catch_up.run())]
    try:
        yield
    finally:
        await cancelled(tasks)
