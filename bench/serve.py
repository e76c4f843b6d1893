"""The read API and the live map: requests a second on one core, live streams, and what a browser shows.

5,000 devices live, one process of the service, the load from this process on the machine's other core. Requests are
asked by FLEETLAKE_BENCH_SERVE_AT_ONCE (8) connections for FLEETLAKE_BENCH_SERVE_S (8) seconds each;
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


def run() -> list[Row]:
    """Figures of one process; raises where an answer is not what it should be."""
    with stack_of_one_region(2) as state:
        settings = RegionSettings.load(stack.region_environment(state, REGION, {}))
        _fill(settings)
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


def _fill(settings: RegionSettings) -> None:
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
    times = {name: asyncio.run(_load(f"{service.origin}{path}", token)) for name, (_, path) in paths.items()}
    with _fastapi(service.settings) as url:
        peer = asyncio.run(_load(url, None))
    rows = []
    for name, (what, _) in paths.items():
        rate = len(times[name]) / SECONDS
        rows.append(Row(id=f"{name}_rps", what=what, value=rate, unit="1/s"))
        for share, percentile in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99")):
            rows.append(
                Row(
                    id=f"{name}_{percentile}_ms",
                    what=f"{what}, {percentile}",
                    value=1e3 * quantile(times[name], share),
                    unit="ms",
                )
            )
    own, others = len(times["latest100"]), len(peer)
    rows.append(
        Row(
            id="latest100_vs_fastapi",
            what="newest records of 100 devices",
            value=own / SECONDS,
            unit="1/s",
            peer="FastAPI, that does only the read",
            peer_value=others / SECONDS,
            ratio=own / others,
        )
    )
    return rows


async def _load(url: str, token: str | None) -> list[float]:
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

        await ask(time.perf_counter() + 1, [])
        until = time.perf_counter() + SECONDS
        await asyncio.gather(*(ask(until, taken) for _ in range(AT_ONCE)))
    return sorted(taken)


@contextmanager
def _fastapi(settings: RegionSettings) -> Iterator[str]:
    port = free_port()
    own = {"REDIS_URL": settings.redis_url.get_secret_value(), "IDS": ",".join(names()[:100])}
    words = ["-m", "uvicorn", "bench.peers.fastapi_latest:app", "--port", str(port), "--log-level", "error"]
    root = Path(__file__).resolve().parents[1]
    process = subprocess.Popen([sys.executable, *words, "--loop", "uvloop"], env={**os.environ, **own}, cwd=root)
    try:
        asyncio.run(_answers(f"http://127.0.0.1:{port}/latest"))
        yield f"http://127.0.0.1:{port}/latest"
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
    process = _process_of(service)
    before = process.memory_info().rss
    lags, most = asyncio.run(_followed(service, lambda: process.memory_info().rss))
    ordered = sorted(lags)
    return [
        Row(id="sse_clients", what="clients that follow live state", value=STREAMS, unit="clients"),
        Row(
            id="sse_lag_p50_ms", what="from a write to each client, p50", value=1e3 * quantile(ordered, 0.5), unit="ms"
        ),
        Row(
            id="sse_lag_p95_ms", what="from a write to each client, p95", value=1e3 * quantile(ordered, 0.95), unit="ms"
        ),
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


def _process_of(service: Service) -> psutil.Process:
    (started,) = service.events("serving.started")
    return psutil.Process(started["pid"])
