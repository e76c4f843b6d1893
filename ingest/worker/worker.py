"""A worker: everything that runs while it runs, its end, and what it reports."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

import structlog

from contracts.ledger import LeaseRow
from ingest.runtime.tasks import cancelled
from ingest.worker import compose
from ingest.worker.landing.budget import Budget
from ingest.worker.landing.janitor import Janitor
from ingest.worker.landing.totals import Totals
from ingest.worker.live.writer import sweep
from ingest.worker.options import Options, Parts
from ingest.worker.reading.retention import Retention
from ingest.worker.reading.start import resolved, stream_described
from ingest.worker.report import Health, Report
from ingest.worker.shards.holdings import Holdings
from ingest.worker.shards.task import ShardTask

_log = structlog.get_logger()
_LIVE_SWEEP_S = 3_600.0
_LIVE_SWEEP_FIRST_S = 600.0
_FLUSHING, _RELEASING = 0.75, 0.05
"""Shares of the time to stop within: to flush, commit and release, and to release what could not be committed. The rest
is for records that live state has not taken yet."""
_LIVE_LOOK_S = 15.0


class Worker:
    """Reads its share of a stream's shards until `stop`, or with `until_idle` until there is nothing more.

    Promises
    - Killed at any moment, it loses no record and doubles none: what is not in the ledger is read again.
    - It holds at most `buffer_bytes` of decoded records, plus one read per shard, whatever the stores do.
    - While a store is down it waits. A shard that fails with an error that waiting does not cure is released and
      paused, and the other shards go on; `until_idle`, `run` raises that error once they are done.
    """

    def __init__(
        self, parts: Parts, options: Options, name: str, *, is_dead: Callable[[str], bool] = lambda _: False
    ) -> None:
        self.name = name
        self.totals = Totals()
        self._options = options
        self._clock = parts.clock
        self._metrics = parts.metrics
        self._stream = parts.stream
        self._live_state = parts.live
        self._stopping = asyncio.Event()
        self._budget = Budget(options.buffer_bytes, parts.clock)
        self._retention = Retention()
        self._janitor = Janitor(parts.store, parts.leases, parts.clock)
        self._live = live = compose.live_writer(parts, name)
        self._rebuilder = compose.live_state_rebuilder(
            parts, options, name, live_gaps=lambda: 0 if live is None else live.live_gaps
        )
        self._make_task = partial(
            compose.shard_task,
            parts,
            options,
            budget=self._budget,
            live=live,
            retention=self._retention,
            totals=self.totals,
        )
        self._holdings = Holdings(self._shard_task, parts.metrics, parts.clock, until_idle=options.until_idle)
        self._coordinator = compose.coordinator(parts, options, name, self._holdings, is_dead=is_dead)
        parts.metrics.buffer_limit.set(options.buffer_bytes)

    def stop(self) -> None:
        """Flush, commit and release; then `run` returns."""
        self._stopping.set()

    async def run(self) -> Report:
        """Work until the end; the report. Raises a loop's error, or, `until_idle`, that of a shard nobody reads."""
        started_s = self._clock.monotonic_s()
        late: list[str] = []
        loops: list[asyncio.Task[None]] = []
        try:
            found = await stream_described(
                self._stream, self._clock, self._stopping, until_idle=self._options.until_idle
            )
            self._retention.observed(found)
            self._coordinator.stream_created_ms = found.created_ms
            self._coordinator.start_ms = resolved(self._options.start_ms, found)
            if self._stopping.is_set():
                return self._report(self._clock.monotonic_s() - started_s, late)
            loops = [asyncio.create_task(loop, name=name) for name, loop in self._loops().items()]
            loops.append(asyncio.create_task(self._asked_to_stop(), name="stop"))
            done, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._coordinator.closing = True
            within_s, then_s = _FLUSHING * self._options.stop_within_s, _RELEASING * self._options.stop_within_s
            late, _ = await asyncio.gather(
                self._holdings.let_go(within_s, then_s=then_s), self._coordinator.until_round_ends(within_s)
            )
            await self._drain_live()
            await cancelled(loops)
        abandoned = self._coordinator.abandoned
        if self._options.until_idle and abandoned and not self._stopping.is_set():
            raise self._holdings.failures[abandoned[0]].error
        late += abandoned
        return self._report(self._clock.monotonic_s() - started_s, late)

    def health(self) -> Health:
        """Whether the worker is alive and ready, and what is missing."""
        now_s = self._clock.monotonic_s()
        tended_s = self._coordinator.tended_s
        down_s = {sink: round(for_s, 1) for sink, for_s in self._metrics.down_s().items()}
        full_s = self._budget.full_since_s
        reasons = [f"{sink} is down for {for_s:.0f} s" for sink, for_s in down_s.items()]
        if tended_s is None:
            reasons.append("starting")
        if self._stopping.is_set():
            reasons.append("stopping")
        failed = self._holdings.failed
        reasons += [f"{shard_id} failed {failure.times} times: {failure.kind}" for shard_id, failure in failed.items()]
        if full_s is not None:
            reasons.append(f"buffers are full for {now_s - full_s:.0f} s, reading pauses")
        return Health(
            worker=self.name,
            alive=tended_s is None or now_s - tended_s < 6 * self._options.lease_ttl_s,
            ready=not reasons,
            reasons=reasons,
            shards=sorted(shard.shard_id for shard in self._holdings),
            down_s=down_s,
            buffer_bytes=self._budget.used_bytes,
            reading_paused_s=0.0 if full_s is None else round(now_s - full_s, 1),
            live_complete=self._live_complete,
            failed=sorted(failed),
        )

    def show(self) -> None:
        """Bring the gauges up to date."""
        metrics = self._metrics
        metrics.buffer_bytes.set(self._budget.used_bytes)
        metrics.paused.set(self._budget.full_since_s is not None)
        for shard in self._holdings:
            shard.show()

    @property
    def _live_complete(self) -> bool:
        if self._live is None or self._rebuilder is None:
            return True
        return self._rebuilder.complete and self._live.complete

    @property
    def rows(self) -> list[LeaseRow]:
        """The lease rows as last read."""
        return self._coordinator.rows

    @property
    def rows_age_s(self) -> float:
        """Seconds since these rows were asked for, at most."""
        return self._clock.monotonic_s() - self._coordinator.rows_read_s

    def _loops(self) -> dict[str, Coroutine[Any, Any, None]]:
        ttl_s, discover_s = self._options.lease_ttl_s, self._options.discover_every_s
        loops: dict[str, Coroutine[Any, Any, None]] = {
            "ending": self._ending(),
            "tend": self._every(ttl_s / 8, self._tend),
            "retention": self._every(discover_s, partial(self._retention.ask, self._stream), first_s=discover_s),
            "beat": self._every(ttl_s / 3, self._coordinator.beat, steadily=True),
            "janitor": self._every(self._options.sweep_every_s, self._sweep, first_s=ttl_s),
            "great sweep": self._every(self._options.sweep_all_every_s, self._sweep_all, first_s=3 * ttl_s),
        }
        if self._live is not None:
            loops["live"] = self._live.run()
            loops["live sweep"] = self._every(_LIVE_SWEEP_S, self._sweep_live, first_s=_LIVE_SWEEP_FIRST_S)
            loops["live rebuild"] = self._every(_LIVE_LOOK_S, self._rebuild_live)
        return loops

    async def _every(
        self, seconds: float, work: Callable[[], Awaitable[object]], *, first_s: float = 0.0, steadily: bool = False
    ) -> None:
        """Repeat the work, with so many seconds between end and start, or `steadily` between start and start."""
        clock = self._clock
        await clock.sleep(first_s)
        while True:
            started_s = clock.monotonic_s()
            await work()
            taken_s = clock.monotonic_s() - started_s if steadily else 0.0
            await clock.sleep(max(0.0, seconds - taken_s))

    async def _asked_to_stop(self) -> None:
        await self._stopping.wait()

    async def _ending(self) -> None:
        """Wait until it is time to end."""
        while not self._stopping.is_set():
            if self._options.until_idle and await self._nothing_more():
                await self._sweep()
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(self._options.look_every_s):
                    await self._stopping.wait()

    async def _nothing_more(self) -> bool:
        if self._coordinator.tended_s is None or not self._holdings.idle:
            return False
        return await self._coordinator.tend(discover=True) and self._holdings.idle

    async def _tend(self) -> None:
        await self._coordinator.tend()
        self.show()

    def _shard_task(self, lease: LeaseRow) -> ShardTask:
        self._janitor.taken(lease)
        return self._make_task(lease)

    async def _sweep(self) -> None:
        await self._janitor.sweep([shard.shard_id for shard in self._holdings])

    async def _sweep_all(self) -> None:
        await self._janitor.sweep_all([shard.shard_id for shard in self._holdings])

    async def _sweep_live(self) -> None:
        if self._live_state is not None:
            await sweep(self._live_state, self._stream)

    async def _rebuild_live(self) -> None:
        if self._rebuilder is not None:
            await self._rebuilder.look()
            self._metrics.live_dirty.set(not self._rebuilder.complete)

    async def _drain_live(self) -> None:
        if self._live is None:
            return
        try:
            async with asyncio.timeout((1 - _FLUSHING - _RELEASING) * self._options.stop_within_s):
                await self._live.drained()
        except TimeoutError:
            _log.error("live.not_drained", rows=self._live.pending_rows)

    def _report(self, seconds: float, late: list[str]) -> Report:
        return Report.of(self.name, self.totals, seconds, late, live_missing=not self._live_complete)
