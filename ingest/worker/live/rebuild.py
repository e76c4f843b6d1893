"""Live state from what landed, where it was lost or never built."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

import pyarrow as pa
import structlog

from contracts.errors import SinkUnavailable
from contracts.ledger import LANDED, LandedObject, LeaseRow
from contracts.names import LAST_SEQ
from ingest.batch import ShardId
from ingest.kinesis import StreamUnavailable
from ingest.live import LiveState
from ingest.runtime.retry import Backoff
from ingest.worker.live.isolate import write_around
from ingest.worker.live.landed import ObjectGone, landed_rows, long_unseen
from ingest.worker.options import Parts
from ingest.worker.reading.start import stream_now_ms

_LOOK_S = 2.0
_PAUSES = Backoff(60.0, 21_600.0, factor=4)
_log = structlog.get_logger()


class History(Protocol):
    """What landing has no more, for a rebuild of live state."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Rows of contracts.record.LANDING_SCHEMA, in any order."""
        ...

    def holds(self, landed: LandedObject) -> bool:
        """Whether `batches` has the rows of that landing object."""
        ...


class LiveStateRebuilder:
    """Makes live state complete where its epoch is missing, while consumers go on.

    Every landing object that the ledger lists, but those of which live state would forget all at once, is written
    again through the newer-than guard; then, once what workers held in hand has landed as well, that; the epoch is set
    last, and only if live state was not lost again meanwhile. When it has landed the shards' watermarks tell, no clock:
    a worker may stand still in between for any time.
    One worker does it: the owner of the first shard that has one. Where some objects have expired already, live state
    stays incomplete, until `history` has brought what only it knows (`fleetlake rebuild-live`); the attempt is repeated
    ever more rarely, and at once where live state was lost again.
    live_gaps: times that this worker found live state to lack something although the epoch may stand.
    """

    def __init__(
        self,
        live: LiveState,
        parts: Parts,
        *,
        worker: str,
        unseen_ms: int,
        live_gaps: Callable[[], int] = lambda: 0,
        history: History | None = None,
    ) -> None:
        self._live = live
        self._parts = parts
        self._leases = parts.leases
        self._clock = parts.clock
        self._worker = worker
        self._unseen_ms = unseen_ms
        self._live_gaps = live_gaps
        self._told = 0
        self._history = history
        self._stands = False
        self._first = True
        self._attempts = 0
        self._incomplete = 0
        self._resting: tuple[str, float] | None = None

    @property
    def complete(self) -> bool:
        """Whether live state lacked nothing when last looked at, and nothing was found lost since."""
        return self._stands and self._told == self._live_gaps()

    async def look(self) -> None:
        """See whether live state is complete, and rebuild it where that is due and falls to this worker."""
        try:
            await self._tell_gaps()
            self._stands = await self._live.epoch() is not None
            if not self._stands and await self._is_due():
                await self.rebuild()
            self._first = False
        except (SinkUnavailable, StreamUnavailable) as error:
            self._stands = False
            _log.warning("live.later", error=str(error))

    async def rebuild(self, *, elected: bool = False) -> bool:
        """One rebuild, if it falls to this worker or it is `elected` anyhow; whether live state is complete.

        Raises SinkUnavailable, StreamUnavailable.
        """
        self._attempts += 1
        token = f"{self._worker}.{self._attempts}"
        await self._live.begin_rebuild(token)
        kept = False
        try:
            # From here on a loss takes the token with it: what the rows say now is what this rebuild has to make good.
            listed = await self._leases.shards()
            rows = await self._leases.rows()
            if not elected and not self._falls_to_me(rows):
                return False
            whole = await self._write_all(rows, listed)
            await self._tell_gaps()
            self._stands = kept = whole and await self._live.end_rebuild(token)
            if not whole:
                kept = self._rest(token)
                _log.error("live.incomplete", why="landing objects have expired: fleetlake rebuild-live has history's")
            else:
                _log.info("live.complete" if self._stands else "live.lost_again")
            return self._stands
        finally:
            if not kept:
                with suppress(SinkUnavailable):
                    await self._live.give_up_rebuild(token)

    async def _tell_gaps(self) -> None:
        """Take the epoch away where something was found lost; a rebuild that goes on ends without one then."""
        live_gaps = self._live_gaps()
        if live_gaps > self._told:
            self._stands = False
            await self._live.mark_incomplete()
            self._told = live_gaps

    def _falls_to_me(self, rows: Sequence[LeaseRow]) -> bool:
        owners = {row.shard_id: row.owner for row in rows if row.owner is not None}
        return not owners or owners[min(owners)] == self._worker

    def _rest(self, token: str) -> bool:
        """Leave the token as a note of this attempt: as long as it stands, another would end in the same way."""
        self._incomplete += 1
        self._resting = (token, self._clock.monotonic_s() + _PAUSES.after_s(self._incomplete))
        return True

    async def _is_due(self) -> bool:
        if self._resting is None:
            return True
        token, until_s = self._resting
        stands = await self._live.rebuilding(token)
        if stands and self._clock.monotonic_s() < until_s:
            return False
        if stands:
            await self._live.give_up_rebuild(token)
        else:
            self._incomplete = 0
        self._resting = None
        return True

    async def _write_all(self, rows: Sequence[LeaseRow], listed: Sequence[ShardId]) -> bool:
        """Write everything that live state has to hold; False where something cannot be had.

        listed: the ledger's shards. One that had no row afterwards ended long ago, so nothing of it comes any more.
        """
        # Where someone has taken a shard, live state may have held what has not landed yet.
        if self._first and self._history is None and not any(row.fence for row in rows):
            return True
        _log.warning("live.rebuilding")
        positions = dict.fromkeys(listed, LAST_SEQ) | {row.shard_id: row.position for row in rows}
        now_ms = await stream_now_ms(self._parts)
        if self._history is not None:
            await self._write_history(self._history)
        whole = await self._write_after(dict.fromkeys(positions, ""), now_ms)
        await self._until_landed(rows, now_ms=await stream_now_ms(self._parts))
        return await self._write_after(positions, now_ms) and whole

    async def _write_history(self, history: History) -> None:
        batches = history.batches()
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            await write_around(self._live.write, batch, self._parts.metrics)

    async def _until_landed(self, rows: Sequence[LeaseRow], *, now_ms: int) -> None:
        """Come back once all that was read by now has landed, by each shard's watermark.

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
                and now[shard_id].watermark_ms < now_ms
            }
            if not waiting:
                return
            await self._clock.sleep(_LOOK_S)

    async def _write_after(self, positions: Mapping[ShardId, str], now_ms: int) -> bool:
        """Write what landed after these positions, in all shards; False where an object cannot be had."""
        whole = True
        for shard_id in await self._leases.shards():
            for entry in await self._leases.entries(shard_id, positions.get(shard_id, "")):
                for landed in entry.objects:
                    if landed.kind == LANDED and not long_unseen(landed, now_ms, self._unseen_ms):
                        whole &= await self._write(landed)
        return whole

    async def _write(self, landed: LandedObject) -> bool:
        try:
            batches = await landed_rows(self._parts.store, self._parts.encoding, landed.key)
        except ObjectGone as error:
            if self._history is not None and self._history.holds(landed):
                return True
            _log.warning("live.gone", why=str(error))
            return False
        for batch in batches:
            await write_around(self._live.write, batch, self._parts.metrics)
        return True
