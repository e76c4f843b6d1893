"""One simulated cluster: a stream with devices, the shared stores, and workers that come and go."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from contracts.errors import QuarantineFailed
from ingest.batch import BATCH_OVERHEAD_BYTES, Batch, KinesisRecord, ShardId
from ingest.decode import JsonDecoder
from ingest.landing import MemoryStore
from ingest.leases.memory import MemoryLeases
from ingest.runtime.metrics import (
    LANDING,
    LEASES,
    LIVE,
    STREAM,
    Metrics,
)
from ingest.worker import Options, Parts, Report, Worker
from ingest.worker.shards.task import ShardTask
from tests.simulation.audit import Audit
from tests.simulation.devices import BREAKING, SLOW, Devices
from tests.simulation.landed import Landed
from tests.simulation.machines import ClusterLoop, Machine, dismiss
from tests.simulation.remote import Remote, Unforeseen, Weather
from tests.simulation.script import WRITE, Scripted
from tests.simulation.stores import CityStream, NewestOnly, WatchedLeases
from tests.simulation.trace import Trace

_METRICS: list[Metrics] = []
_DECODERS: list[JsonDecoder] = []
"""Used again from history to history: making them would cost as much as running."""


@dataclass(slots=True)
class Made:
    """The kinds of which a cluster is made; a mutant replaces one."""

    leases: Callable[[], MemoryLeases] = MemoryLeases
    live: Callable[[], NewestOnly] = NewestOnly
    script: str = WRITE
    """What the server runs where live state is scripted."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of all workers that are others than the history's."""


@dataclass(slots=True)
class Life:
    """One life of a worker."""

    slot: int
    machine: Machine
    worker: Worker
    running: "asyncio.Task[Report]"


@dataclass(slots=True)
class Setting:
    """How a history's cluster is set up."""

    options: Options
    shards: int
    jitter_ms: int
    retention_ms: int
    throttle: bool
    hollow_every: int
    skews_ms: Sequence[int]
    paces: Sequence[float]
    slow_encoding: bool = False
    slow_s: float = 0.0
    """How long a record marked as slow holds its worker's interpreter."""
    forgetful: float = 0.0
    """How often an answer looks like the end of its shard by mistake."""
    breaking: float = 0.0
    """How often what nobody foresaw happens, in calls and computations."""
    scripted: bool = False
    """Live state is a real server's, behind the script of production."""
    parquet: bool = True
    made: Made = field(default_factory=Made)


class World:
    """Holds everything that a history plays on. Promise: all that happens follows from the seed."""

    def __init__(self, loop: ClusterLoop, setting: Setting, weather: Weather, trace: Trace) -> None:
        self.loop = loop
        self.setting = setting
        self.weather = weather
        self.trace = trace
        self.chance = weather.chance
        self.stream = CityStream(
            setting.shards,
            jitter_ms=setting.jitter_ms,
            chance=self.chance,
            now_ms=loop.true_ms,
            retention_ms=setting.retention_ms,
            throttle=setting.throttle,
            hollow_every=setting.hollow_every,
        )
        odd = random.Random(self.chance.random() if setting.forgetful else 0)
        if setting.forgetful:
            self.stream.forgets = lambda: odd.random() < setting.forgetful and bool(self.weather.rates)
        self.devices = Devices(self.stream, self.chance, loop.true_ms)
        self.store = MemoryStore()
        self.plain = setting.made.leases()
        self.audit = Audit(lambda: list(self.plain._rows.values()), self.store, self.stream)
        self.leases = WatchedLeases(self.plain, self.audit, self.chance)
        self.landed = Landed()
        by_script = setting.made.live is NewestOnly and (setting.scripted or setting.made.script != WRITE)
        self.live: NewestOnly | Scripted = Scripted(setting.made.script) if by_script else setting.made.live()
        self.unsure: set[str] = set()
        """Devices of which live state refused a record alone, as it does where a write breaks unforeseen."""
        self.lives: list[Life] = []
        self.ended: list[Life] = []
        self._born = 0

    def note(self, who: str, what: str) -> None:
        """Write to the trace."""
        self.trace.add(self.loop.time(), who, what)

    def start(self, slot: int) -> Life:
        """A new life of the worker in a slot."""
        self._born += 1
        name = f"w{slot}.{self._born}"
        at = slot % len(self.setting.skews_ms)
        machine = Machine(self.loop, name, skew_ms=self.setting.skews_ms[at], pace=self.setting.paces[at])
        worker = Worker(self._parts(machine), self.setting.options, name, is_dead=lambda other: self._died(slot, other))
        self._watch_failures(name, worker)
        life = Life(slot, machine, worker, machine.start(worker.run()))
        self.lives.append(life)
        self.note(name, "starts")
        life.running.add_done_callback(lambda done: self._over(life, done))
        return life

    def crash(self, machine: Machine) -> None:
        """Kill -9."""
        self.note(machine.name, "dies")
        machine.die()

    def pause(self, machine: Machine, seconds: float) -> None:
        """Freeze it for a while."""
        self.note(machine.name, f"is frozen for {seconds:.1f} s")
        machine.freeze()
        self.loop.outside(seconds, machine.thaw)

    def refused(self, rows: pa.RecordBatch) -> None:
        """Live state broke over these rows; a single one is not tried again."""
        if rows.num_rows == 1:
            self.unsure.add(rows.column("device_id")[0].as_py())

    @property
    def running(self) -> list[Life]:
        """Lives that neither died nor ended."""
        return [life for life in self.lives if not life.machine.dead and not life.running.done()]

    async def watch(self) -> None:
        """Read the region's watermark for ever, as the lake does: off a scan, which is no snapshot."""
        while True:
            await asyncio.sleep(3.0)
            rows = await self.leases.rows()
            if rows:
                self.audit.region_seen(rows, "a scan", exactly=False)

    async def clear(self) -> None:
        """End all tasks: the history is over."""
        for life in self.lives:
            life.machine.leave()
        own = asyncio.current_task()
        await dismiss([task for task in asyncio.all_tasks() if task is not own])

    def _over(self, life: Life, done: "asyncio.Task[Report]") -> None:
        self.ended.append(life)
        if done.cancelled():
            return
        error = done.exception()
        self.note(life.machine.name, "has ended" if error is None else f"failed: {error!r}")
        if error is not None and not isinstance(error, Unforeseen):
            self.audit.broken.append(f"{life.machine.name} failed: {error!r}")

    def _watch_failures(self, name: str, worker: Worker) -> None:
        """A worker survives a shard that breaks; a history does so only where the break was put in."""
        note = worker._holdings._note

        def noted(shard: ShardTask, error: Exception, lived_s: float) -> None:
            self.note(name, f"{shard.shard_id} failed: {error!r}")
            if not isinstance(error, Unforeseen if not self.setting.breaking else (Unforeseen, QuarantineFailed)):
                self.audit.broken.append(f"{name}: {shard.shard_id} failed: {error!r}")
            note(shard, error, lived_s)

        worker._holdings._note = noted  # type: ignore[method-assign]

    def _died(self, slot: int, name: str) -> bool:
        """What the lock of a slot tells its next life."""
        return any(life.slot == slot and life.machine.name == name and life.machine.dead for life in self.lives)

    def _parts(self, machine: Machine) -> Parts:
        def remote(part: str, inner: Any) -> Any:
            return Remote(self, machine, part, inner)

        return Parts(
            stream=remote(STREAM, self.stream),
            leases=remote(LEASES, self.leases),
            store=remote(LANDING, self.store),
            live=remote(LIVE, self.live.client(machine.name)),
            decoder=Measured(self, machine),
            clock=machine,
            decoding=self._decoding(machine),
            trial=Judge(machine),
            encoding=self._encoding(machine),
            metrics=self._metrics(machine),
        )

    def _decoding(self, machine: Machine) -> Callable[..., Awaitable[Any]]:
        """A slow record holds the interpreter: nothing of the machine runs meanwhile."""

        async def decoding(work: Callable[..., Any], /, *args: Any) -> Any:
            _, _, records, _, failing = args
            if self.weather.breaks():
                self.note(machine.name, "decoding breaks")
                raise Unforeseen("decoding")
            if self.setting.slow_s and _slow_places(records) - failing:
                self.note(machine.name, "decodes a slow record")
                self.pause(machine, self.setting.slow_s)
                await asyncio.sleep(0)
            return work(*args)

        return decoding

    def _encoding(self, machine: Machine) -> Callable[..., Awaitable[Any]]:
        async def encoding(work: Callable[..., Any], /, *args: Any) -> Any:
            if self.setting.slow_encoding:
                await machine.sleep(self.chance.random() * 3)
            if self.weather.breaks():
                self.note(machine.name, "encoding breaks")
                raise Unforeseen("encoding")
            return self.landed.table(args[0].read_buffer()) if work is pq.read_table else work(*args)

        return encoding

    def _metrics(self, machine: Machine) -> Metrics:
        place = len(self.lives)
        while len(_METRICS) <= place:
            _METRICS.append(Metrics())
        metrics = _METRICS[place]
        metrics._failing.clear()
        metrics._waiting.clear()
        metrics._clock = machine
        return metrics


def _slow_places(records: Sequence[KinesisRecord]) -> frozenset[int]:
    return frozenset(place for place, record in enumerate(records) if SLOW in record.data)


class Judge:
    """The process in which a worker tries records: it finds the slow ones, and takes its time."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    async def failing(self, records: Sequence[KinesisRecord], within_s: float) -> frozenset[int]:
        """The slow ones, each for as long as it may take."""
        found = _slow_places(records)
        await self._machine.sleep(within_s * len(found))
        return found


class Measured:
    """The decoder, and with it the bound on what a worker holds: its limit, and what one read of each shard brings."""

    def __init__(self, world: World, machine: Machine) -> None:
        if not _DECODERS:
            _DECODERS.append(JsonDecoder())
        self.version = _DECODERS[0].version
        self.suppression_version = _DECODERS[0].suppression_version
        self._world = world
        self._machine = machine
        self._record_bytes = 0.0
        self._most_records = 0
        self._most_batches = 0
        self._read: tuple[ShardId, float, int, int] = ("", 0.0, 0, 0)

    def decode(self, shard_id: ShardId, records: Sequence[KinesisRecord]) -> Batch:
        """Decode; what is held already must be within bounds."""
        if any(BREAKING in record.data for record in records) or self._world.weather.breaks():
            raise Unforeseen("a record")
        batch = _DECODERS[0].decode(shard_id, records)
        size = batch.rows.nbytes + batch.rejected.nbytes
        self._record_bytes = max(self._record_bytes, size / len(records))
        # An answer that spans hours is decoded in parts, at one moment.
        shard, at_s, records_before, batches_before = self._read
        if (shard, at_s) != (shard_id, self._world.loop.time()):
            records_before = batches_before = 0
        self._read = (shard_id, self._world.loop.time(), len(records) + records_before, 1 + batches_before)
        self._most_records = max(self._most_records, self._read[2])
        self._most_batches = max(self._most_batches, self._read[3])
        worker = next(life.worker for life in self._world.lives if life.machine is self._machine)
        one_read = self._most_records * self._record_bytes + self._most_batches * BATCH_OVERHEAD_BYTES
        reads = len(worker._holdings) * one_read
        if worker._budget.used_bytes > self._world.setting.options.buffer_bytes + reads:
            held = f"{worker._budget.used_bytes} bytes"
            self._world.audit.broken.append(f"{self._machine.name} holds {held}, and reads on")
        return batch
