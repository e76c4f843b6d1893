"""Live state from what landed, where it was lost or never built."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from contracts.errors import SinkUnavailable
from contracts.ledger import LANDED
from ingest.batch import ShardId
from ingest.live import LiveState
from ingest.worker.options import Parts

_ROWS_A_WRITE = 50_000
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
            data = await self._store.get(key)
        except KeyError:
            return False
        table = await self._offload(pq.read_table, pa.BufferReader(data))
        for batch in table.to_batches(_ROWS_A_WRITE):
            await self._live.write(batch)
        return True
