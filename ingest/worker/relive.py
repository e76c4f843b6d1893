"""Live state from what landed, where it was lost or never built."""

from collections.abc import Mapping, Sequence
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from contracts.errors import SinkUnavailable
from contracts.ledger import LANDED, LeaseRow
from contracts.record import LANDING_SCHEMA
from ingest.batch import ShardId
from ingest.kinesis import StreamUnavailable
from ingest.landing import ObjectStore
from ingest.live import LiveState
from ingest.metrics import LANDING, LEASES
from ingest.offload import Offload
from ingest.worker.live import LiveWriter
from ingest.worker.options import Parts
from ingest.worker.refusal import write_around
from ingest.worker.settle import Persistence

_ROWS_A_WRITE = 50_000
_LOOK_S = 2.0
_NO_ROWS = pa.RecordBatch.from_pylist([], LANDING_SCHEMA)
_log = structlog.get_logger()


class LiveMender:
    """Makes live state complete where its epoch is missing, while consumers go on.

    Every landing object that the ledger lists is written again through the newer-than guard; then, once what workers
    held in hand has landed as well, that; the epoch is set last, and only if live state was not lost again meanwhile.
    When it has landed the shards' watermarks tell, no clock: a worker may stand still in between for any time.
    Where some objects have expired already, live state stays incomplete: what only history knows has to be loaded from
    there.
    """

    def __init__(self, live: LiveState, parts: Parts, *, worker: str) -> None:
        self.complete = False
        self._live = live
        self._stream = parts.stream
        self._leases = parts.leases
        self._store = parts.store
        self._clock = parts.clock
        self._metrics = parts.metrics
        self._offload = parts.encoding
        self._worker = worker
        self._first = True
        self._attempts = 0

    async def look(self, *, dirty: bool = False) -> None:
        """Rebuild if it is needed (`dirty` says so although the epoch stands); sets `complete`."""
        try:
            if dirty or await self._live.epoch() is None:
                self.complete = False
                await self._mend()
            else:
                self.complete = True
            self._first = False
        except (SinkUnavailable, StreamUnavailable) as error:
            _log.warning("live.later", error=str(error))

    async def _mend(self) -> None:
        self._attempts += 1
        token = f"{self._worker}.{self._attempts}"
        await self._live.begin_rebuild(token)
        # From here on a loss takes the token with it, so what the rows say now is what this rebuild has to make good.
        rows = await self._leases.rows()
        positions = {row.shard_id: row.position for row in rows}
        # Where someone has taken a shard, live state may have held what has not landed yet.
        fresh = self._first and not any(row.fence for row in rows)
        if not fresh:
            _log.warning("live.rebuilding")
            whole = await self._write_after(dict.fromkeys(positions, ""))
            await self._until_landed(rows, await self._stream_now_ms())
            whole &= await self._write_after(positions)
            if not whole:
                _log.error("live.incomplete", why="landing objects have expired; rebuild from history")
                return
        if not await self._live.end_rebuild(token):
            _log.warning("live.lost_again")
            return
        self.complete = True
        _log.info("live.complete")

    async def _stream_now_ms(self) -> int:
        return (await self._stream.describe()).now_ms or self._clock.wall_ms()

    async def _until_landed(self, rows: Sequence[LeaseRow], by_ms: int) -> None:
        """Come back once all that was read by then has landed, by each shard's watermark.

        What the owner of a shard held when it lost the shard is not waited for: who takes the shard reads it again.
        """
        waiting = {row.shard_id: row for row in rows if row.owner is not None and not row.ended}
        while True:
            now = {row.shard_id: row for row in await self._leases.rows()}
            waiting = {
                shard_id: row
                for shard_id, row in waiting.items()
                if shard_id in now
                and (now[shard_id].owner, now[shard_id].fence) == (row.owner, row.fence)
                and now[shard_id].watermark_ms < by_ms
            }
            if not waiting:
                return
            await self._clock.sleep(_LOOK_S)

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
            await write_around(self._live.write, batch, self._metrics)
        return True


async def offer_again(live: LiveWriter, parts: Parts, lease: LeaseRow) -> None:
    """Offer what landed but may have missed live state, as its last owner ended first: of the shard after its live_seq,
    and before that, where nothing of the shard itself has got there yet, of the ended shards that it came from.

    Goes through the newer-than guard, so what live state has already changes nothing. Live state takes in what it is
    offered in order: once anything of a shard is there, so is all of its ancestors.
    """
    live.begin(lease.shard_id, lease.live_seq)
    persistence = Persistence(parts.clock, parts.metrics, lease.shard_id)
    for behind in await _behind(parts, persistence, lease):
        after = partial(parts.leases.entries, behind.shard_id, behind.live_seq)
        for entry in await persistence.until_done(LEASES, after):
            for key in [landed.key for landed in entry.objects if landed.kind == LANDED]:
                try:
                    read = partial(landed_rows, parts.store, parts.encoding, key)
                    for batch in await persistence.until_done(LANDING, read):
                        live.offer(batch, lease.shard_id, lease.live_seq)
                except KeyError:
                    _log.warning("live.expired", shard=behind.shard_id)
            if behind is lease:
                live.offer(_NO_ROWS, lease.shard_id, entry.last_seq)


async def _behind(parts: Parts, persistence: Persistence, lease: LeaseRow) -> list[LeaseRow]:
    """The shard and those before it, the oldest first, of which live state may lack something."""
    lines = [lease]
    if not lease.live_seq and lease.parents:
        rows = {row.shard_id: row for row in await persistence.until_done(LEASES, parts.leases.rows)}
        for row in lines:
            if not row.live_seq:
                lines += [rows[parent] for parent in row.parents if parent in rows and rows[parent] not in lines]
    return [row for row in reversed(lines) if row.live_seq != row.position]


async def landed_rows(store: ObjectStore, offload: Offload, key: str) -> list[pa.RecordBatch]:
    """The rows of a landing object. Raises KeyError where it has expired, SinkUnavailable."""
    data = await store.get(key)
    table = await offload(pq.read_table, pa.BufferReader(data))
    batches: list[pa.RecordBatch] = table.cast(LANDING_SCHEMA).to_batches(_ROWS_A_WRITE)
    return batches
