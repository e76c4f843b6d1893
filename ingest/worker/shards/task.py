"""One shard of one worker: read, decode, offer to live state, buffer, flush, commit, release."""

import asyncio
from enum import StrEnum

import structlog

from contracts.errors import LeaseLost, PositionMoved
from contracts.ledger import LeaseRow
from ingest.batch import Batch, Decoder
from ingest.kinesis import Records, ShardGone, StreamClient
from ingest.kinesis.protocol import ShardReader, Turn
from ingest.kinesis.trouble import Trouble
from ingest.runtime.clock import Clock
from ingest.runtime.metrics import LIVE, Metrics
from ingest.runtime.offload import Offload
from ingest.runtime.tasks import unless
from ingest.worker.landing.budget import Budget
from ingest.worker.landing.totals import Totals
from ingest.worker.live.catch_up import CatchUp, beside
from ingest.worker.live.writer import LiveWriter
from ingest.worker.reading.end import End
from ingest.worker.reading.lag import Watch
from ingest.worker.reading.rates import Load
from ingest.worker.reading.retention import Horizon
from ingest.worker.reading.suspicion import Suspicion, decode_without
from ingest.worker.shards.delivering import Delivering
from ingest.worker.shards.hand_over import HandOver

_LIVE_PATIENCE_S = 2.0
"""How long a release waits for live state, so that the next owner need not offer the last records again."""
_log = structlog.get_logger()


class Ending(StrEnum):
    """How a worker's time with a shard ended."""

    ENDED = "ended"
    """The shard was read to its end and its children have rows."""
    RELEASED = "released"
    """Flushed, committed and released; or released without, where the worker could not wait any longer."""
    LEASE_LOST = "lost"
    """Another worker owns the lease; buffers were dropped."""
    FAILED = "failed"
    """An unexpected error; buffers were dropped, and the lease was released."""


class ShardTask:
    """A leased shard from take to ending. Call `run` once.

    `stop` asks it to flush and release, and it reads on while that is not possible; `abandon` to release at once.
    """

    def __init__(
        self,
        delivery: Delivering,
        reader: ShardReader,
        *,
        turn: Turn,
        stream: StreamClient,
        decoder: Decoder,
        decoding: Offload,
        live: LiveWriter | None,
        catch_up: CatchUp | None,
        horizon: Horizon,
        suspicion: Suspicion,
        trouble: Trouble,
        budget: Budget,
        totals: Totals,
        clock: Clock,
        metrics: Metrics,
        open_hours: int,
        lease_ttl_s: float,
    ) -> None:
        self.shard_id = delivery.lease.shard_id
        self.load = Load(clock, delivery.lease)
        self.delivery = delivery
        self.for_worker: str | None = None
        self._reader = reader
        self._turn = turn
        self._stream = stream
        self._decoder = decoder
        self._decoding = decoding
        self._live = live
        self._catch_up = catch_up
        self._horizon = horizon
        self._suspicion = suspicion
        self._end = End(self.shard_id, stream, clock, trouble)
        self._watch = Watch(horizon, metrics, clock)
        self._budget = budget
        self._totals = totals
        self._clock = clock
        self._metrics = metrics
        self._open_hours = open_hours
        self._lease_ttl_s = lease_ttl_s
        self._hand_over = HandOver(delivery)
        self._abandoned: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._released = False
        self._decodes = False
        self._last_live_seq: str | None = None

    @property
    def lease(self) -> LeaseRow:
        """The lease as last committed."""
        return self.delivery.lease

    @property
    def idle(self) -> bool:
        """Read to the tip with everything committed, and in live state unless that is down."""
        behind = self._catch_up is not None and not self._catch_up.done
        return self.delivery.idle and not (behind and LIVE not in self._metrics.down_since_s)

    @property
    def live_seq(self) -> str:
        """The sequence number up to which live state has the shard."""
        if self._last_live_seq is not None:
            return self._last_live_seq
        return self.lease.live_seq if self._live is None else self._live.progress.written(self.shard_id)

    @property
    def suppression_version(self) -> int:
        """Version of the suppression list that all records read so far were held to.

        A flush's commit notes it; where nothing is read, decoded or buffered, a renewal of the lease does.
        """
        at_rest = self.delivery.idle and not self._decodes
        return self._decoder.suppression_version if at_rest else self.lease.suppression_version

    def show(self) -> None:
        """Bring its gauges up to date."""
        if not self._released:
            self._watch.show()

    def _live_now(self) -> str:
        return self.live_seq

    def stop(self, *, to: str | None = None) -> None:
        """Flush, commit, stop reading and release (`to` a worker, or to anyone)."""
        self.for_worker = to
        self._hand_over.ask()

    def abandon(self) -> None:
        """Release at once: what is not committed is dropped, and the next owner reads it again."""
        if not self._abandoned.done():
            self._abandoned.set_result(None)

    async def run(self) -> Ending:
        """Read until the shard ends, `stop` is called, or the lease is lost."""
        try:
            async with beside(self._catch_up):
                return await self._to_the_end()
        finally:
            self._last_live_seq = self.live_seq
            if self._live is not None:
                self._live.progress.end(self.shard_id)

    async def _to_the_end(self) -> Ending:
        try:
            await unless(self._abandoned, self._read_and_deliver())
        except (LeaseLost, PositionMoved) as error:
            _log.warning("lease.lost", shard=self.shard_id, fence=self.lease.fence, error=str(error))
            return Ending.LEASE_LOST
        finally:
            self._released = True
            self._budget.drop(self.shard_id)
            self._metrics.forget_shard(self.shard_id)
        if self.lease.ended:
            return Ending.ENDED
        await self.give_up()
        return Ending.RELEASED

    async def _read_and_deliver(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read())
                tasks.create_task(self.delivery.run())
        except ExceptionGroup as group:
            raise group.exceptions[0] from group

    async def _read(self) -> None:
        try:
            while (answer := await self._hand_over.unless_over(self._next_answer())) is not None:
                await self._take_in(answer)
                self._turn.end()
                if (children := await self._end.children(answer)) is not None:
                    self.delivery.end(children, self._live_now)
                    return
                # The answer holds megabytes, and the next may take long.
                del answer
        except ShardGone:
            _log.error("shard.gone", shard=self.shard_id)
            self.delivery.mark_trimmed()
            self.delivery.end(await self._end.listed_children(), self._live_now)
            return
        finally:
            self._turn.end()
            self._reader.close()
        self.delivery.close()

    async def _next_answer(self) -> Records:
        """The next answer, once there is room for what it will be."""
        await self.delivery.room()
        await self._budget.room()
        if self._live is None:
            return await self._answer()
        patience_s = await self._live.room()
        answer = await self._answer()
        await self._live.room(patience_s)
        return answer

    async def _answer(self) -> Records:
        """The next answer. Raises ShardGone only where the stream does not list the shard: an end cannot be undone."""
        while True:
            try:
                return await self._reader.read()
            except ShardGone as gone:
                if await self._end.is_gone():
                    raise
                await self._end.disbelieve(f"{gone}, yet the stream's list has it")

    async def _take_in(self, answer: Records) -> None:
        metrics, shard = self._metrics, self.shard_id
        if await self._horizon.check(self._stream, answer):
            _log.error("stream.trimmed", shard=shard, position=self.lease.position)
            metrics.trimmed.labels(shard).inc()
            self.delivery.mark_trimmed()
        self._watch.answered(answer)
        metrics.reads.labels(shard).inc()
        metrics.bytes.labels(shard).inc(answer.bytes_read)
        self.load.count(len(answer.records), answer.bytes_read)
        if answer.records:
            await self._decode(answer)
        elif answer.millis_behind_latest == 0 and answer.next_iterator is not None:
            self.delivery.at_tip(answer.response_ms)
        self._watch.show()

    async def _decode(self, answer: Records) -> None:
        self._totals.kinesis_records_read += len(answer.records)
        failing = await self._suspicion.failing(answer.records, self.lease.position)
        arguments = (self._decoder, self.shard_id, answer.records, self._open_hours, failing)
        self._decodes = True
        try:
            for batch in await self._decoding(decode_without, *arguments):
                self._keep(batch)
        finally:
            self._decodes = False

    def _keep(self, batch: Batch) -> None:
        metrics, shard = self._metrics, self.shard_id
        if self._live is not None:
            self._live.offer(batch.rows, shard, batch.last_seq)
        self._totals.user_records_read += batch.user_records
        metrics.records.labels(shard).inc(batch.kinesis_records)
        metrics.user_records.labels(shard).inc(batch.user_records)
        for name, times in batch.unknown_fields.items():
            metrics.unknown_field(name, times)
        self._watch.arrived(batch.user_records, batch.max_arrival_ms)
        self.delivery.append(batch)

    @property
    def _in_a_hurry(self) -> bool:
        """Whether a release waits for nothing: the shard was abandoned, or it has failed."""
        return self._abandoned.done() or self._last_live_seq is not None

    async def give_up(self) -> None:
        """Release the lease, as far as that is possible within the TTL."""
        try:
            async with asyncio.timeout(self._lease_ttl_s):
                if self._live is not None and not self._in_a_hurry:
                    await self._live.caught_up(self.shard_id, self.lease.position, _LIVE_PATIENCE_S)
                await self.delivery.release(self.live_seq, self.for_worker)
        except (LeaseLost, TimeoutError):
            _log.warning("lease.not_released", shard=self.shard_id)
