"""Builders for tests of the consumer: records, memory parts that can fail, workers in virtual time."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pyarrow.parquet as pq
from pyarrow import BufferReader

from contracts.errors import SinkUnavailable
from contracts.ledger import LANDED, LeaseRow, LedgerEntry
from ingest.decode import JsonDecoder
from ingest.kinesis.memory import MemoryStream
from ingest.landing import MemoryStore
from ingest.leases.memory import MemoryLeases
from ingest.live import MemoryLive
from ingest.runtime.metrics import Metrics
from ingest.worker import Options, Parts, Report, Worker
from tests.builders.virtual_time import VirtualClock, true_ms


def record(device: str, number: int, **fields: Any) -> bytes:
    """A record of a device; its event id is its number."""
    body = {"device_id": device, "ts": true_ms() - 1000, "event_id": str(number), "lat": 50.0, "lon": 8.0}
    return json.dumps({**body, **fields}).encode()


def fill(stream: MemoryStream, count: int, *, first: int = 0, devices: int = 20) -> set[str]:
    """Put records on a stream; gives their event ids."""
    for number in range(first, first + count):
        device = f"d{number % devices}"
        stream.put(device, record(device, number))
    return {str(number) for number in range(first, first + count)}


class World:
    """One stream, one table, one bucket, and workers that share them."""

    def __init__(self, shards: int = 4, *, live: MemoryLive | None = None, **stream: Any) -> None:
        self.stream = MemoryStream(shards, now_ms=true_ms, **stream)
        self.leases = MemoryLeases()
        self.store = MemoryStore()
        self.live = live

    def parts(self, **changed: Any) -> Parts:
        """A worker's parts: its own decoder, clock and metrics, the world's stores."""
        clock = changed.pop("clock", None) or VirtualClock()
        whole: dict[str, Any] = {"stream": self.stream, "leases": self.leases, "store": self.store, "live": self.live}
        return Parts(**{**whole, "decoder": JsonDecoder(), "clock": clock, "metrics": Metrics(clock=clock), **changed})

    def worker(self, name: str, parts: Parts | None = None, **options: Any) -> Worker:
        """A worker of this world."""
        return Worker(parts or self.parts(), Options(**options), name)

    async def read_all(self, name: str = "reader", parts: Parts | None = None, **options: Any) -> Report:
        """What one worker does until there is nothing more."""
        return await self.worker(name, parts, until_idle=True, **options).run()

    async def entries(self) -> list[LedgerEntry]:
        """The whole ledger, also of shards whose lease rows were removed."""
        found = []
        for shard_id in await self.leases.shards():
            found += await self.leases.entries(shard_id)
        return found

    async def landed_ids(self) -> list[str]:
        """Event ids in landing, as the ledger lists it: one for each row."""
        keys = [landed.key for entry in await self.entries() for landed in entry.objects if landed.kind == LANDED]
        return landed_ids([self.store.objects[key] for key in keys])


def landed_ids(objects: Sequence[bytes]) -> list[str]:
    """Event ids of landing objects: one for each row."""
    found: list[str] = []
    for data in objects:
        found += pq.read_table(BufferReader(data), columns=["event_id"])["event_id"].to_pylist()
    return found


def broken_chains(rows: Sequence[LeaseRow], entries: Sequence[LedgerEntry]) -> list[str]:
    """What is wrong with the ledger: gaps, overlaps, fences that go back, ends that are not the lease's position."""
    wrong = []
    for row in rows:
        position, fence = "", 0
        for entry in (entry for entry in entries if entry.shard_id == row.shard_id):
            if entry.after_seq != position:
                wrong.append(f"{row.shard_id}: {entry.after_seq} follows {position}")
            if entry.fence < fence:
                wrong.append(f"{row.shard_id}: fence {entry.fence} after {fence}")
            position, fence = entry.last_seq, entry.fence
        if position != row.position:
            wrong.append(f"{row.shard_id}: the lease is at {row.position}, its ledger ends at {position}")
    return wrong


class Outage:
    """Wraps a store: while `down`, the named methods raise SinkUnavailable, before or (`answers_lost`) after acting."""

    def __init__(self, inner: Any, *methods: str) -> None:
        self.down = False
        self.answers_lost = False
        self.refused = 0
        self._inner = inner
        self._methods = methods

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in self._methods:
            return method

        async def guarded(*args: Any, **more: Any) -> Any:
            if self.down:
                self.refused += 1
                raise SinkUnavailable(f"{name} is down")
            result = await method(*args, **more)
            if self.answers_lost:
                self.refused += 1
                self.answers_lost = False
                raise SinkUnavailable(f"{name}: the answer was lost")
            return result

        return guarded


async def until(condition: Callable[[], bool | Awaitable[bool]], *, within_s: float = 60.0) -> None:
    """Wait (in the loop's time) until the condition holds."""
    async with asyncio.timeout(within_s):
        while True:
            held = condition()
            if await held if isinstance(held, Awaitable) else held:
                return
            await asyncio.sleep(0.05)
