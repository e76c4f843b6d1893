"""Redis, S3 and Postgres away, one at a time, under the read API: what is refused, what goes on, and its memory.

Each store is away twice for FLEETLAKE_BENCH_SERVE_AWAY_S (60): its process is stopped (SIGSTOP: it takes connections
and never answers), then killed (SIGKILL). Requests of 16 kinds, each asked by two FLEETLAKE_BENCH_SERVE_PAUSE_S (0.25)
after each answer, FLEETLAKE_BENCH_SERVE_STREAMS (100) streams and clients that take nothing go on meanwhile, and then
for FLEETLAKE_BENCH_SERVE_CALM_S (600) more; memory is printed each minute, or each tenth of that where it is shorter.
A machine that is busy elsewhere needs fewer streams, longer pauses
and a longer FLEETLAKE_BENCH_SERVE_TIMEOUT_S (3) of Redis and Postgres: a service that is starved takes them for away.

Fails where an answer is not what the reference says, where the service does not recover by itself, where a stream is
interrupted, where a slow client is kept, and where memory grows.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

import stack
from bench.one_region import REGION, stack_of_one_region
from bench.rows import Row
from bench.serve import fill, moved, process_of
from bench.serve_asking import ACME, KINDS, STREAMS, Asked, Load, load_on
from bench.team import quantile
from contracts.outages import POSTGRES, REDIS, S3
from contracts.settings import RegionSettings
from tests.builders import stack as handles
from tests.builders.serving import Service, fill_region, write_live

AWAY_S = float(os.environ.get("FLEETLAKE_BENCH_SERVE_AWAY_S", "60"))
CALM_S = float(os.environ.get("FLEETLAKE_BENCH_SERVE_CALM_S", "600"))
STORES = {REDIS: "redis", S3: "s3", POSTGRES: "postgres"}
STORE_TIMEOUT_S = float(os.environ.get("FLEETLAKE_BENCH_SERVE_TIMEOUT_S", "3"))
_S3_TIMEOUT_S = 8.0
"""Not the 30 s of a trail unless set: each kind is to be refused several times within an outage."""
_EVERY_S = min(60.0, CALM_S / 10)
MOVING = 50
"""Devices that change each second, of 5,000."""
_RECOVERS_S = 240.0
_DROPPED_S = 60.0
_GROWTH = 1.1
"""Memory at the end may be so many times what it was a third of the calm before."""


@dataclass
class Outage:
    """A store that was away. Times are of time.monotonic."""

    store: str
    how: str
    began_s: float
    ended_s: float = 0.0
    recovered_s: float = 0.0
    """Seconds from its end until each kind of request was answered again."""

    @property
    def name(self) -> str:
        """For programs."""
        return f"{STORES[self.store]}_{self.how}"

    def strict_from_s(self) -> float:
        """From then on no request may be answered from what was asked before."""
        return self.began_s + min(1.0, AWAY_S / 4)


def run() -> list[Row]:
    """Figures of each outage and of the calm behind; raises AssertionError where a promise was broken."""
    with stack_of_one_region(2) as state:
        settings = RegionSettings.load(stack.region_environment(state, REGION, {}))
        fill_region(settings)
        fill(settings)
        _add_zone(settings)
        service = Service(state, REGION)
        try:
            limits = {"requests_s": 1e6, "streams": 10_000, "streams_token": 10_000, "store_timeout_s": STORE_TIMEOUT_S}
            service.start(**limits, environment={"FLEETLAKE_STORE_TIMEOUT_S": str(_S3_TIMEOUT_S)}).ready()
            return asyncio.run(_measured(service))
        finally:
            service.kill()


def _add_zone(settings: RegionSettings) -> None:
    """Visits are told from records only where the fleet has a zone."""
    ring = "[[7.9, 49.0], [8.1, 49.0], [8.1, 50.01], [7.9, 50.01]]"
    with psycopg.connect(settings.postgres_dsn.get_secret_value(), autocommit=True) as connection:
        connection.execute(
            "insert into registry.zone (fleet_id, name, ring, valid_from, created_by)"
            " values (%s, 'Yard', %s::jsonb, '2026-01-01', 'bench')",
            (ACME, ring),
        )


async def _measured(service: Service) -> list[Row]:
    process = process_of(service)
    rows: list[Row] = []
    away: set[str] = set()
    async with load_on(service) as load:
        writing = asyncio.create_task(_move(service, away))
        watch = _Memory(process)
        watching = asyncio.create_task(watch.run())
        await _answered(load, time.monotonic())
        await asyncio.sleep(3)
        for store in STORES:
            for how in ("stopped", "killed"):
                outage = await _outage(service.state, load, store, how, away)
                rows += _rows(outage, _checked(load, outage))
                _say(rows[-5:])
        assert load.behind["true"] and load.behind["true"] == load.behind["false"], load.behind
        calm_from_s, told = time.monotonic(), load.told
        await asyncio.sleep(CALM_S)
        assert load.open == STREAMS, f"{load.open} of {STREAMS} streams were never interrupted"
        assert load.told - told > STREAMS * MOVING * CALM_S / 3, "streams say too little"
        wrong = [one for one in load.asked if one.began_s > calm_from_s and one.status != 200]
        assert not wrong, wrong[:3]
        rows += [*await _slow(service, load), *watch.rows(calm_from_s)]
        for task in (writing, watching):
            task.cancel()
    assert len(service.events("serving.started")) == 1, "the service was started again"
    assert process.is_running()
    return rows


async def _outage(state: Path, load: Load, store: str, how: str, away: set[str]) -> Outage:
    """A store away, back, and the service as before."""
    outage = Outage(store, how, time.monotonic())
    print(f"{store} is {how}", file=sys.stderr)
    away.add(store)
    if how == "stopped":
        with _stopped(state, STORES[store]):
            await asyncio.sleep(AWAY_S)
            outage.ended_s = time.monotonic()
    else:
        await asyncio.to_thread(handles.kill, handles.process_of(state, STORES[store]))
        await asyncio.sleep(AWAY_S)
        outage.ended_s = time.monotonic()
        await asyncio.to_thread(stack.up, state)
    back_s = time.monotonic()
    away.discard(store)
    await _answered(load, back_s)
    outage.recovered_s = time.monotonic() - back_s
    return outage


@contextlib.contextmanager
def _stopped(state: Path, service: str) -> Iterator[None]:
    process = handles.process_of(state, service)
    whole = [process, *process.children(recursive=True)]
    for one in whole:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for one in whole:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGCONT)


async def _answered(load: Load, since_s: float) -> None:
    """Wait until the newest answer of each kind that was asked since is 200."""
    deadline = time.monotonic() + _RECOVERS_S
    while True:
        newest = {kind: load.of(kind, since_s)[-1:] for kind in KINDS}
        lacking = [kind for kind, found in newest.items() if not found or found[0].status != 200]
        if not lacking:
            return
        assert time.monotonic() < deadline, f"not answered again: {[(kind, newest[kind]) for kind in lacking]}"
        await asyncio.sleep(0.2)


def _checked(load: Load, outage: Outage) -> tuple[list[Asked], list[Asked]]:
    """Requests that were refused and those that went on, all as they should be."""
    refused: list[Asked] = []
    others: list[Asked] = []
    for kind, (_, needed) in KINDS.items():
        asked = load.of(kind, outage.strict_from_s())
        needs = outage.store in needed
        if needs:
            # One that ended later may have been answered by the store that was back.
            asked = [one for one in asked if one.ended_s <= outage.ended_s]
        wrong = [one for one in asked if not _right(one, outage.store if needs else None)]
        assert not wrong, f"{outage.name}: {len(wrong)} of {len(asked)} are not right, as {wrong[:3]}"
        assert asked, f"{outage.name}: no {kind} was answered within {AWAY_S:.0f} s"
        (refused if needs else others).extend(asked)
    return refused, others


def _right(one: Asked, store: str | None) -> bool:
    if store is None:
        return one.status == 200
    return one.status == 503 and store in one.said


def _rows(outage: Outage, checked: tuple[list[Asked], list[Asked]]) -> list[Row]:
    refused, others = checked
    what = f"{outage.store} {outage.how} for {outage.ended_s - outage.began_s:.0f} s"
    slowest = max(one.ended_s - one.began_s for one in refused)
    p95_ms = 1_000 * quantile(sorted(one.ended_s - one.began_s for one in others), 0.95)
    figures = (
        ("refused", "answered 503 with Retry-After", len(refused), "requests"),
        ("refused_max_s", "the slowest 503", slowest, "s"),
        ("others", "the others, answered 200", len(others), "requests"),
        ("others_p95_ms", "the others, p95", p95_ms, "ms"),
        ("recovered_s", "from its return until all were 200", outage.recovered_s, "s"),
    )
    return [
        Row(id=f"{outage.name}_{name}", what=f"{what}: {words}", value=value, unit=unit)
        for name, words, value, unit in figures
    ]


async def _move(service: Service, away: set[str]) -> None:
    """Devices move each second, while Redis is there."""
    turn = 0
    while True:
        began_s = time.monotonic()
        if REDIS not in away:
            turn += 1
            # What is under way when Redis goes is lost, as a write of the consumer's is that it repeats.
            with contextlib.suppress(Exception):
                await asyncio.to_thread(write_live, service.settings, moved(turn, MOVING))
        await asyncio.sleep(max(0.05, 1 - (time.monotonic() - began_s)))


async def _slow(service: Service, load: Load) -> list[Row]:
    """Who took nothing is gone, but for those who came last."""
    deadline = time.monotonic() + _DROPPED_S
    young = 3
    while (streams := await asyncio.to_thread(service.metric, "streams")) > STREAMS + young:
        assert time.monotonic() < deadline, f"{streams:.0f} streams are held, of {STREAMS} that are read"
        await asyncio.sleep(1)
    return [
        Row(id="streams_kept", what="streams that were read, never interrupted", value=load.open, unit="streams"),
        Row(id="slow_clients", what="clients that took nothing", value=load.slow, unit="clients"),
        Row(id="slow_held", what="of these, held at the end", value=streams - STREAMS, unit="clients"),
    ]


class _Memory:
    """The memory of the service, each minute."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._seen: list[tuple[float, float]] = []
        self._began_s = time.monotonic()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._seen.append((time.monotonic(), self._process.memory_info().rss / 2**20))
            print(f"{self._seen[-1][0] - self._began_s:6.0f} s  {self._seen[-1][1]:7.1f} MiB", file=sys.stderr)
            await asyncio.sleep(_EVERY_S)

    def rows(self, calm_from_s: float) -> list[Row]:
        """Memory from the beginning. Raises AssertionError where it grew in the calm."""
        calm = [mib for at_s, mib in self._seen if at_s >= calm_from_s]
        third = max(1, len(calm) // 3)
        begin, end = max(calm[:third]), max(calm[-third:])
        assert end <= begin * _GROWTH, f"memory grew from {begin:.0f} to {end:.0f} MiB: {calm}"
        most = max(mib for _, mib in self._seen)
        return [
            Row(id="memory_max_mib", what="memory of the service, the most", value=most, unit="MiB"),
            *(
                Row(id=f"memory_{number}_mib", what=f"memory {number * _EVERY_S:.0f} s on", value=mib, unit="MiB")
                for number, (_, mib) in enumerate(self._seen)
            ),
            Row(id="memory_end_vs_begin", what="the last third of the calm, of its first", value=end / begin, unit="x"),
        ]


def _say(rows: list[Row]) -> None:
    for row in rows:
        print(f"{row.what}: {row.value:,.1f} {row.unit}", file=sys.stderr)
