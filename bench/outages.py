"""One store at a time away for a while, under a real worker: S3, Redis, DynamoDB throttled, S3's disk full.

FLEETLAKE_BENCH_OUTAGE_S (60) is for how long; FLEETLAKE_BENCH_OUTAGES names some of bench.faults.FAULTS. The worker
may hold 16 MiB of decoded records, less than arrives meanwhile, so it has to stop reading. Fails where a record
is missing or there twice, where the worker does not say what is away, or where it does not catch up by itself.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.faults import FAULTS, Fault, disk_can_be_filled
from bench.one_region import REGION, stack_of_one_region
from bench.rows import Row
from bench.team import Member, Producer, Team, now_ms, reconciled, team_on

RECORDS_PER_S = 2_000
BUFFER_MIB = 16
_CALM_S = 3.0
_SILENT = 50
_WITHIN_S = 300.0


@dataclass
class Outcome:
    """The effect of one outage. Seconds count from its end."""

    name: str
    outage_s: float
    put: int
    counts: dict[str, int]
    said_down: bool
    alive: bool
    paused: bool
    rss_before_mib: float
    rss_peak_mib: float
    committed_s: float
    ready_s: float
    devices: int
    devices_live: int


def run() -> list[Row]:
    """Figures of each outage; raises AssertionError where a promise was broken."""
    seconds = float(os.environ.get("FLEETLAKE_BENCH_OUTAGE_S", "60"))
    rows: list[Row] = []
    for name in os.environ.get("FLEETLAKE_BENCH_OUTAGES", ",".join(FAULTS)).split(","):
        if name == "disk" and not disk_can_be_filled():
            print("outage disk: left out, for only root may mount a small disk", file=sys.stderr)
            continue
        with FAULTS[name].ground(stack_of_one_region) as state:
            outcome = asyncio.run(outage(state, name, seconds))
        check(outcome)
        rows += rows_of(outcome)
    return rows


def check(outcome: Outcome) -> None:
    """Raise AssertionError where a promise was broken."""
    counts = dict(outcome.counts)
    assert counts.pop("landed") == outcome.put, outcome
    assert not any(counts.values()), outcome
    assert outcome.said_down, f"readiness never named what was away: {outcome}"
    assert outcome.alive, "a worker that a restart would not help said that it is not alive"
    assert outcome.devices_live == outcome.devices, outcome


async def outage(state: Path, name: str, seconds: float, *, region: str = REGION) -> Outcome:
    """Produce, take the store away, give it back, wait until the worker has caught up, and look at the stores."""
    fault = FAULTS[name](state)
    tuning = {"flush_age_s": 2, "buffer_mib": BUFFER_MIB, "shard_mb_s": 0}
    async with fault.prepared() as told, team_on(state, region, 2, **tuning | told) as team:
        producer = Producer(team.stream, RECORDS_PER_S)
        watch = _Watch(team.start("m0"))
        _put_silent(team, producer)
        producing = asyncio.create_task(producer.run())
        watching = asyncio.create_task(watch.run())
        await _until(lambda: _committed(team, 1))
        await asyncio.sleep(min(_CALM_S, seconds / 3))
        before_mib = watch.peak_mib
        await fault.begin()
        began_s = time.monotonic()
        await asyncio.sleep(seconds)
        await fault.end()
        ended_s, put = time.monotonic(), producer.user_records
        await _until(lambda: _committed(team, put))
        committed_s = time.monotonic() - ended_s
        await _until(lambda: _whole(watch, fault, region))
        ready_s = time.monotonic() - ended_s
        producer.stopping = watch.stopping = True
        await asyncio.gather(producing, watching)
        await team.all_committed(producer.user_records)
        await _until(lambda: _whole(watch, fault, region))
        await team.stop(team.processes)
        counts = await asyncio.to_thread(reconciled, team, producer)
        devices, live = await asyncio.to_thread(fault.devices, team.aftermath, region)
    said = set(fault.sinks) <= watch.said_down
    return Outcome(
        name, ended_s - began_s, producer.user_records, counts, said, watch.always_alive, watch.paused,
        before_mib, watch.peak_mib, committed_s, ready_s, devices, live,
    )  # fmt: skip


class _Watch:
    """Samples a worker's memory and metrics continuously."""

    def __init__(self, worker: Member) -> None:
        self.peak_mib = 0.0
        self.said_down: set[str] = set()
        self.paused = self.stopping = False
        self.always_alive = True
        self._worker = worker

    async def run(self) -> None:
        """Until `stopping`."""
        process = psutil.Process(self._worker._process.pid)
        while not self.stopping:
            self.peak_mib = max(self.peak_mib, process.memory_info().rss / 2**20)
            status, health = await self._page("/readyz")
            self.said_down |= set(health["down_s"] if status != 200 else ())
            self.paused |= health["reading_paused_s"] > 0
            self.always_alive &= (await self._page("/healthz"))[0] == 200
            await asyncio.sleep(0.25)

    async def whole(self) -> bool:
        """Whether the worker says that it is ready and that live state lacks nothing."""
        status, health = await self._page("/readyz")
        return status == 200 and bool(health["live_complete"])

    async def _page(self, name: str) -> tuple[int, dict[str, Any]]:
        status, body = await asyncio.to_thread(self._worker.get, name)
        return status, json.loads(body)


def _put_silent(team: Team, producer: Producer) -> None:
    """Devices that report once: after Redis lost its data, only a rebuild restores them."""
    for number in range(_SILENT):
        producer.sent.append(f"silent{number}")
        body = {"device_id": f"silent-{number}", "ts": now_ms(), "event_id": producer.sent[-1]}
        team.stream.put(f"silent-{number}", json.dumps(body).encode())


async def _whole(watch: _Watch, fault: Fault, region: str) -> bool:
    return await watch.whole() and await asyncio.to_thread(fault.live_stands, region)


async def _committed(team: Team, user_records: int) -> bool:
    _, entries = await asyncio.to_thread(team.aftermath.ledger)
    return sum(entry.user_records for entry in entries) >= user_records


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(_WITHIN_S):
        while not await condition():
            await asyncio.sleep(0.2)


def rows_of(outcome: Outcome) -> list[Row]:
    """The figures."""
    what = f"{outcome.name}, {outcome.outage_s:.0f} s"
    figures: list[tuple[str, float, str]] = [
        ("records put, each landed once", outcome.put, "records"),
        ("missing, twice or in no chain", sum(v for k, v in outcome.counts.items() if k != "landed"), "records"),
        ("peak memory of the worker", outcome.rss_peak_mib, "MiB"),
        ("peak memory before", outcome.rss_before_mib, "MiB"),
        ("reading paused", float(outcome.paused), "1 is yes"),
        ("landing caught up after", outcome.committed_s, "s"),
        ("ready, live state complete after", outcome.ready_s, "s"),
        ("devices in live state, all of them", outcome.devices_live, "devices"),
    ]
    return [Row(what=f"{what}: {name}", value=value, unit=unit) for name, value, unit in figures]
