"""Real worker processes on the project's own Kinesis double, which the benchmark's process serves over HTTP itself.

The double and the handling of processes belong to tests/, which is not installed: its folder is added to the path.
"""

import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import stack
from contracts import names
from contracts.kpl import aggregate
from contracts.settings import RegionSettings

sys.path.append(str(Path(__file__).resolve().parents[1]))
from bench.bodies import bodies
from ingest.kinesis.memory import MemoryStream
from tests.builders.consumer import broken_chains, landed_ids
from tests.builders.consumer_process import Aftermath, ConsumerProcess
from tests.builders.fan_out_server import FanOutServer
from tests.builders.kinesis_local import KinesisLocal, kinesis_local
from tests.builders.kinesis_server import now_ms, served

A_RECORD = 20
"""User records of a KPL aggregate."""
_PUTS_A_S = 10


class Member(ConsumerProcess):
    """A worker process, the machine that it is on, and when it was killed (seconds of the monotonic clock)."""

    def __init__(self, machine: str, environment: Mapping[str, str], **tuning: object) -> None:
        super().__init__(environment, **tuning)
        self.machine = machine
        self.killed_s: float | None = None

    def lived_through(self, from_s: float, to_s: float) -> bool:
        """Whether it was at work all that time."""
        started = self.events("worker.started")
        if not started or (self.killed_s is not None and self.killed_s < to_s):
            return False
        ago_s = time.time() - datetime.fromisoformat(started[0]["timestamp"]).timestamp()
        return time.monotonic() - ago_s < from_s


@dataclass
class Team:
    """Workers of one region, each on a machine of its own (a state folder), reading one stream."""

    state: Path
    region: str
    url: str
    stream: MemoryStream | KinesisLocal
    server: FanOutServer | None
    """What serves the double, with its log of reads; kinesis-local keeps none."""
    tuning: dict[str, object]
    processes: list[Member] = field(default_factory=list)
    ended: list[Member] = field(default_factory=list)
    """Workers that were killed or stopped."""

    def __post_init__(self) -> None:
        self.environment = stack.region_environment(self.state, self.region, {})
        """What a worker is told of its region, but for the tuning."""
        self.settings = RegionSettings.load(self.environment)
        self.aftermath = Aftermath(self.settings)

    @property
    def reads(self) -> Sequence[tuple[float, str]]:
        """When each shard was read, by the stream's own log; nothing where it keeps none."""
        return self.server.reads if self.server else ()

    def start(self, machine: str) -> Member:
        """Start a worker there."""
        folder = self.state / "machines" / machine
        folder.mkdir(parents=True, exist_ok=True)
        tuning = {"lease_ttl_s": 10, "kinesis_endpoint": self.url, "state": folder, **self.tuning}
        process = Member(machine, self.environment, **tuning)
        self.processes.append(process)
        return process

    def kill(self, process: Member) -> None:
        """kill -9."""
        process.kill()
        process.killed_s = time.monotonic()
        self.processes.remove(process)
        self.ended.append(process)

    async def stop(self, processes: Sequence[Member]) -> None:
        """SIGTERM, and wait until they have let their shards go."""
        for process in processes:
            await asyncio.to_thread(process.wait_for, "worker.started")
            process.send(signal.SIGTERM)
        for process in list(processes):
            code = await asyncio.to_thread(process.end, 120)
            assert code == 0, f"a worker ended with {code}: {process.log[-3:]}"
            self.processes.remove(process)
            self.ended.append(process)

    async def owners(self) -> dict[str, list[str]]:
        """The shards of each owner."""
        found: dict[str, list[str]] = {}
        for row in await asyncio.to_thread(self.aftermath.rows):
            if row.owner and not row.ended:
                found.setdefault(row.owner, []).append(row.shard_id)
        return found

    async def all_committed(self, user_records: int, within_s: float = 180.0) -> None:
        """Wait until the ledger has that many user records."""
        deadline = time.monotonic() + within_s
        while (found := await self._committed()) < user_records:
            assert time.monotonic() < deadline, f"{found:,} of {user_records:,} user records after {within_s:.0f} s"
            await asyncio.sleep(1.0)

    async def _committed(self) -> int:
        _, entries = await asyncio.to_thread(self.aftermath.ledger)
        return sum(entry.user_records for entry in entries)


def name_of(process: Member) -> str | None:
    """The worker's name, once it is known."""
    started = process.events("worker.started")
    return str(started[-1]["worker"]) if started else None


@asynccontextmanager
async def team_on(state: Path, region: str, shards: int, **tuning: object) -> AsyncIterator[Team]:
    """A team without workers on a stream of so many shards; whatever runs at the end is killed.

    The stream is the double, or kinesis-local's where FLEETLAKE_BENCH_STREAM says `kinesis-local`.
    """
    async with _stream_of(region, shards) as (url, stream, server):
        team = Team(state, region, url, stream, server, tuning)
        try:
            yield team
        finally:
            for process in list(team.processes):
                team.kill(process)


@asynccontextmanager
async def _stream_of(
    region: str, shards: int
) -> AsyncIterator[tuple[str, MemoryStream | KinesisLocal, FanOutServer | None]]:
    if os.environ.get("FLEETLAKE_BENCH_STREAM") == "kinesis-local":
        with (
            tempfile.TemporaryDirectory(prefix="fleetlake-kinesis-local-") as folder,
            kinesis_local(Path(folder)) as url,
        ):
            yield url, KinesisLocal(url, names.stream(region), shards), None
        return
    double = MemoryStream(shards, now_ms=now_ms)
    server = FanOutServer(double)
    async with served(server) as url:
        yield url, double, server


@dataclass
class Producer:
    """Puts user records with numbers of their own at a rate: half plain, half in aggregates, a few of them broken."""

    stream: MemoryStream | KinesisLocal
    records_per_s: int
    broken_every: int = 0
    bodies: Iterator[tuple[str, bytes]] = field(default_factory=bodies)
    sent: list[str] = field(default_factory=list)
    broken: int = 0
    stopping: bool = False

    @property
    def user_records(self) -> int:
        """All that were put."""
        return len(self.sent) + self.broken

    async def run(self) -> None:
        """Put until `stopping`."""
        chance, next_s = random.Random(11), time.monotonic()
        while not self.stopping:
            self._put(chance, self.records_per_s // _PUTS_A_S)
            next_s += 1 / _PUTS_A_S
            await asyncio.sleep(max(0.0, next_s - time.monotonic()))

    def _put(self, chance: random.Random, count: int) -> None:
        made = [self._record() for _ in range(count)]
        for key, data in made[: count // 2]:
            self.stream.put(key, data)
        for start in range(count // 2, count, A_RECORD):
            self.stream.put(f"a{chance.random()}", aggregate(made[start : start + A_RECORD]))

    def _record(self) -> tuple[str, bytes]:
        number = self.user_records
        if self.broken_every and number % self.broken_every == 1:
            self.broken += 1
            return f"b{number}", b'{"device_id": "b", "ts"'
        key, body = next(self.bodies)
        self.sent.append(f"n{number:09d}")
        return key, body[:-1] + b',"event_id":"%s"}' % self.sent[-1].encode()


def reconciled(team: Team, producer: Producer) -> dict[str, int]:
    """What the ledger lists against what was put: each user record landed once or rejected, each chain unbroken."""
    rows, entries = team.aftermath.ledger()
    objects = team.aftermath.objects()
    landed = landed_ids([objects[one.key] for entry in entries for one in entry.objects if one.kind == "landed"])
    sent = set(producer.sent)
    return {
        "landed": len(landed),
        "missing": len(sent - set(landed)),
        "twice": len(landed) - len(set(landed)),
        "foreign": len(set(landed) - sent),
        "rejected": sum(entry.rejected_total for entry in entries),
        "broken chains": len(broken_chains(rows, entries)),
        "lost": sum(entry.lost for entry in entries),
    }


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def total(processes: Sequence[Member], name: str) -> int:
    """Sum of a figure in the final reports of workers that exited by themselves."""
    words: list[dict[str, Any]] = [word for process in processes for word in process.events("worker.ended")]
    return sum(int(word[name]) for word in words)
