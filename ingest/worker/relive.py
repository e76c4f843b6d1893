"""Live state from what landed, where it was lost or never built."""

from collections.abc import Mapping
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from contracts.errors import SinkUnavailable
from contracts.ledger import LANDED, LeaseRow
from contracts.record import LANDING_SCHEMA
from ingest.batch import ShardId
from ingest.landing import ObjectStore
from ingest.live import LiveState
from ingest.metrics import LANDING, LEASES
from ingest.worker.live import LiveWriter
from ingest.worker.options import Offload, Parts
from ingest.worker.settle import Persistence

_ROWS_A_WRITE = 50_000
_NO_ROWS = pa.RecordBatch.from_pylist([], LANDING_SCHEMA)
_log = structlog.get_logger()


class LiveMender:
    """Makes live state complete where its epoch is missing, while consumers go on.

    Every landing object that the ledger lists is written again through the newer-than guard; then, once what workers
    held in hand has landed as well, that; the epoch is set last. Where some objects have expired already, live state
    stays incomplete: what only history knows has to be loaded from there.
    """

    def __init__(self, live: LiveState, parts: Parts, *, worker: str, in_hand_s: float) -> None:
        self.complete = False
        self._live = live
        self._leases = parts.leases
        self._store = parts.store
        self._clock = parts.clock
        self._offload = parts.encoding
        self._worker = worker
        self._in_hand_s = in_hand_s
        self._first = True

    async def look(self, *, dirty: bool = False) -> None:
        """Rebuild if it is needed (`dirty` says so although the epoch stands); sets `complete`."""
        try:
            if dirty or await self._live.epoch() is None:
                self.complete = False
                await self._mend()
            else:
                self.complete = True
            self._first = False
        except SinkUnavailable as error:
            _log.warning("live.later", error=str(error))

    async def _mend(self) -> None:
        positions = {row.shard_id: row.position for row in await self._leases.rows()}
        fresh = self._first and not any(positions.values())
        if not fresh:
            _log.warning("live.rebuilding")
            whole = await self._write_after(dict.fromkeys(positions, ""))
            await self._clock.sleep(self._in_hand_s)
            whole &= await self._write_after(positions)
            if not whole:
                _log.error("live.incomplete", why="landing objects have expired; rebuild from history")
                return
        await self._live.set_epoch(self._worker)
        self.complete = True
        _log.info("live.complete")

    async def _write_after(self, positions: Mapping[ShardId, str]) -> bool:
        """Write what landed after these positions, in all shards; False where an object is gone."""
        whole = True
        for row in await self._leases.rows():
            for entry in await self._leases.entries(row.shard_id, positions.get(row.shard_id, "")):
                for landed in entry.objects:
                    if landed.kind == LANDED:
                        whole &= await self._write(landed.key)
        return whole

    async def _write(self, key: str) -> bool:
        try:
            batches = await landed_rows(self._store, self._offload, key)
        except KeyError:
            return False
        for batch in batches:
            await self._live.write(batch)
        return True


async def offer_again(live: LiveWriter, parts: Parts, lease: LeaseRow) -> None:
    """Offer what landed after `lease.live_seq`: its last owner may have ended before live state had it.

    Goes through the newer-than guard, so what live state has already changes nothing.
    """
    live.begin(lease.shard_id, lease.live_seq)
    if lease.live_seq == lease.position:
        return
    persistence = Persistence(parts.clock, parts.metrics, lease.shard_id)
    entries = await persistence.until_done(LEASES, partial(parts.leases.entries, lease.shard_id, lease.live_seq))
    for entry in entries:
        for key in [landed.key for landed in entry.objects if landed.kind == LANDED]:
            try:
                read = partial(landed_rows, parts.store, parts.encoding, key)
                for batch in await persistence.until_done(LANDING, read):
                    live.offer(batch, lease.shard_id, lease.live_seq)
            except KeyError:
                _log.warning("live.expired", shard=lease.shard_id)
        live.offer(_NO_ROWS, lease.shard_id, entry.last_seq)


async def landed_rows(store: ObjectStore, offload: Offload, key: str) -> list[pa.RecordBatch]:
    """The rows of a landing object. Raises KeyError where it has expired, SinkUnavailable."""
    data = await store.get(key)
    table = await offload(pq.read_table, pa.BufferReader(data))
    batches: list[pa.RecordBatch] = table.cast(LANDING_SCHEMA).to_batches(_ROWS_A_WRITE)
    return batches
