"""Which shards this worker reads: it discovers shards, takes and renews leases, and shares with other workers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import structlog

from contracts.errors import LeaseLost, SinkUnavailable
from contracts.ledger import LeaseRow
from ingest.kinesis import Shard, StreamClient, StreamUnavailable
from ingest.leases import Observer
from ingest.leases.protocol import Leases
from ingest.runtime.clock import Clock
from ingest.runtime.metrics import LEASES, READS, STREAM, Metrics
from ingest.runtime.retry import Retry
from ingest.worker.reading.start import same_stream
from ingest.worker.shards.balance import (
    Steps,
    fair_share,
    own_order,
    shard_to_ask_for,
)
from ingest.worker.shards.discovery import readable, rows_to_insert, rows_to_remove
from ingest.worker.shards.holdings import Holdings
from ingest.worker.shards.looking import Looking
from ingest.worker.shards.task import ShardTask

_T = TypeVar("_T")
_log = structlog.get_logger()


class Coordinator:
    """Keeps leases and holdings in step.

    Promises
    - A shard is read only under a lease taken here, after its parents were read to their end.
    - A lease is taken from its owner only after its heartbeat has not changed for one TTL on this worker's own clock,
      or where `is_dead(owner)` knows that the owner's process has ended. The fence makes a wrong guess harmless.
    - `tend` and `beat` do not raise while a store or the stream is down: the next round tries again.
    - No lease is taken for a stream that the leases are not of: `tend` raises StreamReplaced.
    """

    def __init__(
        self,
        worker: str,
        holdings: Holdings,
        *,
        stream: StreamClient,
        leases: Leases,
        clock: Clock,
        metrics: Metrics,
        lease_ttl_s: float,
        discover_every_s: float,
        workers: int,
        until_idle: bool,
        is_dead: Callable[[str], bool],
    ) -> None:
        self._worker = worker
        self._holdings = holdings
        self._stream = stream
        self._leases = leases
        self._clock = clock
        self._lease_ttl_s = lease_ttl_s
        self._discover_every_s = discover_every_s
        self._workers = workers
        self._until_idle = until_idle
        self._is_dead = is_dead
        self._retry = Retry(clock, metrics, worker)
        self._round = asyncio.Lock()
        self._observer = Observer(clock)
        self._looking = Looking(worker, self._observer, clock, lease_ttl_s, holdings.is_paused)
        self._listed: Sequence[Shard] = ()
        self._known_when_listed: set[str] = set()
        self._listed_at_s: float | None = None
        self.start_ms = 0
        """Where a stream that has no rows yet is read from: as in Options, with LATEST_MS resolved."""
        self.stream_created_ms = 0
        """When the stream was made; 0 is unknown."""
        self._right_stream = False
        self._wrote = False
        """Whether this round has tried to write."""
        self.closing = False
        """Set once this worker releases its shards: it takes no further one."""
        self.rows: list[LeaseRow] = []
        """The lease rows as last read."""
        self.rows_read_s = clock.monotonic_s()
        """When the request for these rows was sent."""
        self.abandoned: list[str] = []
        """Shards without a living owner that failed here, as of the last round."""
        self.tended_s: float | None = None

    async def tend(self, *, discover: bool = False) -> bool:
        """One round; True where it succeeded and every shard has ended or has a living owner.

        A round that need not `discover` reads the rows only where that is due (ingest.worker.shards.looking).
        """
        async with self._round:
            return await self._tend(discover=discover)

    async def until_round_ends(self, within_s: float) -> None:
        """Wait until no round is in progress, or the time has passed. While `closing`, no shard is started."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s), self._round:
                return

    async def _tend(self, *, discover: bool) -> bool:
        try:
            changes = await self._changes()
            if not (discover or self._is_due(changes)):
                return True
            await self._look(discover=discover)
            waiting = await self._take_what_is_free()
            await self._ask()
            self._looking.looked(self.rows, self._held, changes)
        except SinkUnavailable:
            return False
        except StreamUnavailable as error:
            self._retry.failed(STREAM, error)
            return False
        finally:
            self.tended_s = self._clock.monotonic_s()
        if not self._wrote and not len(self._holdings):
            self._retry.worked(LEASES)  # there is nothing to write, so no write fails
        return not waiting

    @property
    def _held(self) -> set[str]:
        return {shard.shard_id for shard in self._holdings}

    def _is_due(self, changes: int | None) -> bool:
        if self._until_idle or self._listed_at_s is None:
            return True
        return self._looking.is_due(self.rows, self._held) or self._looking.is_changed(changes)

    @property
    def _is_listing_due(self) -> bool:
        listed_s = self._listed_at_s
        return listed_s is None or self._clock.monotonic_s() - listed_s >= self._discover_every_s

    async def _changes(self) -> int | None:
        return await self._retry.once(LEASES, self._leases.changes(), kind=READS)

    async def _refresh_rows(self) -> None:
        asked_s = self._clock.monotonic_s()
        self.rows = await self._read_rows()
        self.rows_read_s = asked_s

    async def _read_rows(self) -> list[LeaseRow]:
        return await self._retry.once(LEASES, self._leases.rows(), kind=READS)

    async def _write(self, change: Awaitable[_T]) -> _T:
        self._wrote = True
        return await self._retry.once(LEASES, change)

    async def beat(self) -> None:
        """Renew all leases held at the same time, and stop reading shards that another worker wants.

        Takes a third of the TTL at most: a renewal that hangs is tried twice more before the lease may be taken, and no
        other lease waits for it.
        """
        await asyncio.gather(*(self._renew(shard) for shard in self._holdings))

    async def _drop_if_taken(self, shard: ShardTask) -> None:
        """Drop a shard that another worker took. With the fence unchanged, it has just ended or been released here."""
        try:
            fences = {row.shard_id: row.fence for row in await self._read_rows()}
        except SinkUnavailable:
            return
        if fences.get(shard.shard_id, 0) > shard.lease.fence:
            self._holdings.lease_lost(shard.shard_id)

    async def _look(self, *, discover: bool) -> None:
        self._wrote = False
        if self.stream_created_ms and not self._right_stream:
            same_stream(self.stream_created_ms, await self._stream_of_leases())
            self._right_stream = True
        await self._refresh_rows()
        if discover or self._is_listing_due:
            now_s = self._clock.monotonic_s()
            await self._discover()
            self._listed_at_s = now_s
        self._observer.see(self.rows)

    async def _stream_of_leases(self) -> int:
        return await self._retry.once(LEASES, self._leases.stream_created_ms(self.stream_created_ms), kind=READS)

    async def _see_rows(self) -> None:
        await self._refresh_rows()
        self._observer.see(self.rows)

    async def _discover(self) -> None:
        known = {row.shard_id for row in self.rows}
        asked_s = self._clock.monotonic_s()
        self._listed = await self._stream.list_shards()
        self._known_when_listed = known
        self._retry.worked(STREAM)
        now_ms = 0
        if not known.issuperset(shard.shard_id for shard in self._listed):
            now_ms = (await self._stream.describe()).now_ms
            # What is new is decided on rows read after the list: anything may have happened while the list came.
            await self._refresh_rows()
        # Where reading has begun, a shard that appears late starts as the others did, not as this worker was told.
        start_ms = min((row.start_ms for row in self.rows), default=self.start_ms)
        new = rows_to_insert(self._listed, self.rows, now_ms=now_ms, start_ms=start_ms)
        # A shard that had no row before the list was asked for may be missing from the list because it is new.
        gone = rows_to_remove(self._listed, self.rows, known_before=known)
        if (new or gone) and self._clock.monotonic_s() - asked_s > self._lease_ttl_s:
            # A shard of an old list may have been read to its end since, and its row removed.
            raise StreamUnavailable(f"the list of shards came {self._lease_ttl_s:.0f} s ago or earlier")
        if new:
            await self._write(self._leases.insert(new))
            _log.info("shards.found", shards=[row.shard_id for row in new])
        for row in gone:
            await self._write(self._leases.remove(row))
        if new:
            await self._refresh_rows()

    async def _take_what_is_free(self) -> bool:
        """Take free shards, by steps; True where a shard is left without a living owner."""
        steps = Steps()
        while True:
            unended = sum(not row.ended for row in self.rows)
            others = [row.owner for row in self.rows if row.owner is not None and self._is_living(row)]
            step = steps.next(unended, own=len(self._holdings), others=others)
            waiting = await self._take(step.shards)
            if waiting is not None:
                return waiting
            await self._clock.sleep(step.then_wait * self._lease_ttl_s)
            await self._see_rows()

    async def _take(self, most: int) -> bool | None:
        """Take at most so many free shards, and every shard that a dead worker left or that is meant for someone.

        None where more free shards may be taken, else whether a shard is left without a living owner.
        """
        waiting, abandoned = False, self.abandoned
        abandoned.clear()
        for gone in self._holdings.failures.keys() - {row.shard_id for row in self.rows}:
            self._holdings.forgive(gone)
        for row in own_order(self.rows, self._worker):
            if row.shard_id in self._holdings:
                continue
            if row.ended or self._is_living(row):
                self._holdings.forgive(row.shard_id)
                continue
            if self._holdings.is_paused(row.shard_id):
                abandoned.append(row.shard_id)
                continue
            if self.closing:
                return True
            if not self._may_take(row):
                waiting = True
                continue
            if most <= 0 and row.owner is None and row.wanted_by is None:
                return None
            if (lease := await self._write(self._leases.take(row, self._worker))) is None:
                waiting = True
                continue
            if self.closing:
                with suppress(LeaseLost):
                    await self._write(self._leases.release(lease, live_seq=lease.live_seq))
                return True
            self._holdings.start(lease)
            most -= 1
        return waiting

    def _may_take(self, row: LeaseRow) -> bool:
        if self._parents_unsure(row):
            self._listed_at_s = None
            return False
        if not readable(row, self.rows, {shard.shard_id for shard in self._listed}):
            return False
        unchanged_s, ttl_s = self._observer.unchanged_s(row), self._lease_ttl_s
        if row.owner is not None or row.wanted_by in (None, self._worker):
            unended = sum(not other.ended for other in self.rows)
            share = fair_share(unended, self._workers)
            done_with_own = self._until_idle and len(self._holdings) > 0 and self._holdings.idle
            return len(self._holdings) < share or done_with_own or unchanged_s >= ttl_s / 2
        return unchanged_s >= ttl_s

    def _parents_unsure(self, row: LeaseRow) -> bool:
        """Whether a parent has no row and the list of shards is older than this row: the parent may still exist."""
        known = {other.shard_id for other in self.rows}
        return row.shard_id not in self._known_when_listed and not known.issuperset(row.parents)

    def _is_living(self, row: LeaseRow) -> bool:
        """Whether another worker owns the shard and, as far as its heartbeat tells, is alive."""
        if row.owner is None or row.owner == self._worker or self._is_dead(row.owner):
            return False
        return self._observer.unchanged_s(row) < self._lease_ttl_s

    async def _ask(self) -> None:
        alive = {row.owner for row in self.rows if row.owner is not None and self._is_living(row)}
        failed = self._holdings.failed
        if self._until_idle or self.closing or not alive or len(failed) > len(self._holdings):
            return
        wanted = shard_to_ask_for(self.rows, self._worker, alive=alive)
        if (
            wanted is not None
            and wanted.shard_id not in failed
            and await self._write(self._leases.ask(wanted, self._worker))
        ):
            _log.info("lease.asked", shard=wanted.shard_id, owner=wanted.owner)

    async def _renew(self, shard: ShardTask) -> None:
        shard.load.update()
        rates = {"records_per_s": shard.load.records_per_s, "bytes_per_s": shard.load.bytes_per_s}
        version = shard.suppression_version
        renewal = self._leases.renew(shard.lease, **rates, live_seq=shard.live_seq, suppression_version=version)
        try:
            async with asyncio.timeout(self._lease_ttl_s / 3):
                row = await self._write(renewal)
        except TimeoutError:
            self._retry.failed(LEASES, TimeoutError(f"{shard.shard_id}: no answer to a renewal"))
        except LeaseLost:
            await self._drop_if_taken(shard)
        except SinkUnavailable:
            return
        else:
            if row.wanted_by not in (None, self._worker):
                shard.stop(to=row.wanted_by)
