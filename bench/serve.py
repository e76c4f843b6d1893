"""The read API and the live map: requests a second on one core, live streams, and what a browser shows.

5,000 devices live, one process of the service, the load from this process. Requests a second are those that a core
carries, by the CPU time of the process, so that what else runs here does not count; times are as they are. Requests
are asked by FLEETLAKE_BENCH_SERVE_AT_ONCE (8) connections for FLEETLAKE_BENCH_SERVE_S (8) seconds each;
FLEETLAKE_BENCH_SERVE_STREAMS (1000) clients follow live state. Where there is no Chromium, its rows are left out.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import psycopg

import stack
from bench.one_region import REGION, stack_of_one_region
from bench.rows import Row
from bench.serve_screen import CHROMIUM, screen
from bench.team import quantile
from contracts.ports import free_port
from contracts.settings import RegionSettings
from tests.builders.lake import Landing, drive
from tests.builders.serving import DRIVE_AT, Service, live_row, write_live

DEVICES, FLEET = 5_000, "bench"
POINTS = 3_000
SECONDS = float(os.environ.get("FLEETLAKE_BENCH_SERVE_S", "8"))
AT_ONCE = int(os.environ.get("FLEETLAKE_BENCH_SERVE_AT_ONCE", "8"))
STREAMS = int(os.environ.get("FLEETLAKE_BENCH_SERVE_STREAMS", "1000"))
_CHANGES = 15
"""Writes of live state, one a second, while streams are open."""


@dataclass(frozen=True, slots=True)
class _Load:
    """Requests of one kind: how long each took, sorted, and the CPU time that the service spent on all."""

    times_s: list[float]
    cpu_s: float

    @property
    def a_core(self) -> float:
        """Requests a second that one core carries."""
        return len(self.times_s) / self.cpu_s


def run() -> list[Row]:
    """Figures of one process; raises where an answer is not what it should be."""
    with stack_of_one_region(2) as state:
        settings = RegionSettings.load(stack.region_environment(state, REGION, {}))
        fill(settings)
        service = Service(state, REGION)
        limits = {"requests_s": 1e6, "streams": 10_000, "streams_token": 10_000}
        try:
            service.start(**limits).ready()
            rows = [*_requests(service), *_streams(service)]
            if CHROMIUM.exists():
                rows += screen(service, state, moved)
        finally:
            service.kill()
    return rows


def names() -> list[str]:
    """The devices."""
    return [f"{FLEET}-{number:05d}" for number in range(DEVICES)]


def fill(settings: RegionSettings) -> None:
    """Registry, live state, and one device's day in landing."""
    with psycopg.connect(settings.postgres_dsn.get_secret_value(), autocommit=True) as connection:
        connection.execute("insert into registry.fleet (fleet_id, name) values (%s, %s)", (FLEET, FLEET))
        with connection.cursor().copy("copy registry.device (device_id, fleet_id, type) from stdin") as copy:
            for name in names():
                copy.write_row((name, FLEET, "van"))
    write_live(settings, moved(0))
    Landing(settings).land(drive(names()[0], DRIVE_AT, POINTS, step_s=20))


def moved(turn: int, most: int = DEVICES) -> list[dict[str, Any]]:
    """A record of now of each device, a little further on."""
    at = datetime.now(UTC)
    return [
        live_row(
            name,
            at=at,
            sequence=turn * DEVICES + number + 1,
            lat=45.0 + number % 70 / 10 + turn / 1_000,
            lon=2.0 + number // 70 / 6,
            speed_kmh=60.0,
        )
        for number, name in enumerate(names()[:most])
    ]


def _requests(service: Service) -> list[Row]:
    """Requests a second, and how long each takes."""
    token = service.token(FLEET)
    day = "from=2026-11-02&to=2026-11-02"
    paths = {
        "latest100": ("newest records of 100 devices", "/v1/live/records?limit=100"),
        "near": ("the 20 nearest of 5,000 devices", "/v1/live?near=48,7&radius_m=200000&limit=20"),
        "box": ("100 devices in a box", "/v1/live?bbox=2,45,9,50&limit=100"),
        "page": ("a page of 100 of the registry", "/v1/devices?limit=100"),
        "trail": (f"a day of {POINTS:,} records", f"/v1/devices/{names()[0]}/trail?{day}"),
    }
    process = process_of(service)
    # The service imports what trails need in a thread of its own once it has started: no other figure is to pay for it.
    asyncio.run(_load(f"{service.origin}{paths['trail'][1]}", token, 0.1))
    loads = {name: _measured(process, f"{service.origin}{path}", token) for name, (_, path) in paths.items()}
    with _fastapi(service.settings) as (peer_process, url):
        peer = _measured(peer_process, url, None)
    rows = [row for name, (what, _) in paths.items() for row in _rows(name, what, loads[name])]
    own = loads["latest100"].a_core
    rows.append(
        Row(
            id="latest100_vs_fastapi",
            what="newest records of 100 devices, of a core",
            value=own,
            unit="1/s",
            peer="FastAPI, that does only the read",
            peer_value=peer.a_core,
            ratio=own / peer.a_core,
        )
    )
    return rows


def _rows(name: str, what: str, load: _Load) -> list[Row]:
    shares = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    return [
        Row(id=f"{name}_rps", what=f"{what}, of a core", value=load.a_core, unit="1/s"),
        *(_ms(f"{name}_{title}_ms", f"{what}, {title}", quantile(load.times_s, share)) for share, title in shares),
    ]


def _ms(name: str, what: str, seconds: float) -> Row:
    return Row(id=name, what=what, value=1_000 * seconds, unit="ms")


def _measured(process: psutil.Process, url: str, token: str | None) -> _Load:
    """A load, and the CPU time that the process spent on it."""
    asyncio.run(_load(url, token, 1.0))
    before = process.cpu_times()
    times_s = asyncio.run(_load(url, token, SECONDS))
    after = process.cpu_times()
    return _Load(times_s, after.user + after.system - before.user - before.system)


async def _load(url: str, token: str | None, seconds: float) -> list[float]:
    """How long each request took, sorted."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    taken: list[float] = []
    async with aiohttp.ClientSession(headers=headers, auto_decompress=False) as session:

        async def ask(until: float, times: list[float]) -> None:
            while (began := time.perf_counter()) < until:
                async with session.get(url, headers={"Accept-Encoding": "identity"}) as answer:
                    body = await answer.read()
                assert answer.status == 200, body[:300]
                times.append(time.perf_counter() - began)

        until = time.perf_counter() + seconds
        await asyncio.gather(*(ask(until, taken) for _ in range(AT_ONCE)))
    return sorted(taken)


@contextmanager
def _fastapi(settings: RegionSettings) -> Iterator[tuple[psutil.Process, str]]:
    port = free_port()
    own = {"REDIS_URL": settings.redis_url.get_secret_value(), "IDS": ",".join(names()[:100])}
    words = ["-m", "uvicorn", "bench.peers.fastapi_latest:app", "--port", str(port), "--log-level", "error"]
    root = Path(__file__).resolve().parents[1]
    process = subprocess.Popen([sys.executable, *words, "--loop", "uvloop"], env={**os.environ, **own}, cwd=root)
    try:
        asyncio.run(_answers(f"http://127.0.0.1:{port}/latest"))
        yield psutil.Process(process.pid), f"http://127.0.0.1:{port}/latest"
    finally:
        process.terminate()
        process.wait(20)


async def _answers(url: str) -> None:
    deadline = time.monotonic() + 60
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url):
                    return
            except aiohttp.ClientError:
                assert time.monotonic() < deadline, "the peer does not start"
                await asyncio.sleep(0.2)


def _streams(service: Service) -> list[Row]:
    """Many clients of one process: how late what changed reaches them, and what each costs in memory."""
    process = process_of(service)
    before = process.memory_info().rss
    lags, most = asyncio.run(_followed(service, lambda: process.memory_info().rss))
    ordered = sorted(lags)
    return [
        Row(id="sse_clients", what="clients that follow live state", value=STREAMS, unit="clients"),
        _ms("sse_lag_p50_ms", "from a write to each client, p50", quantile(ordered, 0.5)),
        _ms("sse_lag_p95_ms", "from a write to each client, p95", quantile(ordered, 0.95)),
        Row(id="sse_kb_a_client", what="memory of a client", value=(most - before) / STREAMS / 1024, unit="KB"),
    ]


async def _followed(service: Service, memory: Callable[[], int]) -> tuple[list[float], int]:
    """Lags of every client and change: one device changes each second, and its record says when."""
    token, lags, opened = service.token(FLEET), [], 0
    head = f"GET /v1/live/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    gate = asyncio.Semaphore(50)

    async def follow() -> None:
        nonlocal opened
        async with gate:
            reader, writer = await asyncio.open_connection("127.0.0.1", service.port, limit=2**22)
            writer.write(head)
            await reader.readuntil(b"event: hello")
        opened += 1
        while True:
            line = await reader.readline()
            if line.startswith(b'data: {"items":['):
                now = time.time()
                lags.extend(now - _moment(item["ts"]) for item in json.loads(line[6:])["items"])

    tasks = [asyncio.create_task(follow()) for _ in range(STREAMS)]
    deadline = time.monotonic() + 120
    while opened < STREAMS:
        assert time.monotonic() < deadline, f"{opened} of {STREAMS} streams are open"
        await asyncio.sleep(0.1)
    await asyncio.sleep(3)
    lags.clear()
    for turn in range(_CHANGES):
        await asyncio.to_thread(write_live, service.settings, moved(turn + 1, most=1))
        await asyncio.sleep(1)
    await asyncio.sleep(2)
    most = memory()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(lags) >= STREAMS * _CHANGES * 0.9, f"only {len(lags)} arrivals"
    return lags, most


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def process_of(service: Service) -> psutil.Process:
    (started,) = service.events("serving.started")
    return psutil.Process(started["pid"])
