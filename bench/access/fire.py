"""What devices were told is on the stream, against history, while everything around the gateway breaks.

FLEETLAKE_BENCH_FIRE_DEVICES (2,000) devices report with QoS 1 and keep what is not acknowledged; the stream is away for
FLEETLAKE_BENCH_FIRE_AWAY_S (60). Fails where an acknowledged record is missing in history or there twice.
"""

import asyncio
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import uvloop

import stack
from bench.access.fleet import FLEET, Device, client_tls, report_in_turn
from bench.access.network import Network
from bench.access.stream_gate import Mode, StreamGate
from bench.one_region import REGION
from bench.rows import Row
from contracts.settings import RegionSettings
from gateway.admin.devices import add_ca
from gateway.identity.laptop import fleet_authority, folder_of
from gateway.uplink import Answers, Endpoint
from tests.builders.command import reported
from tests.builders.gateway import GatewayProcess
from tests.builders.stack import kill, process_of

WORKERS = 2
BUDGET_MIB = 8
"""Payload that a process may hold without an answer."""
ROOM_MIB = 96
"""What a process may grow by beside twice its budget: the other's connections, once that was killed."""
_ALL_IN_S, _ANSWERED_S = 600.0, 600.0
_TUNING = {
    "source_failures_min": 1_000_000,
    "source_connects_s": 1_000_000,
    "device_connects_min": 1_000,
    "handshakes_s": 1_000,
    "linger_ms": 20,
    "put_time_s": 10,
    "identity_age_s": 5,
    "unacknowledged_mib": BUDGET_MIB,
}


@dataclass(frozen=True)
class Plan:
    """How large, and how long each trouble lasts."""

    devices: int = 2_000
    records_s: float = 200.0
    calm_s: float = 5.0
    trouble_s: float = 15.0
    stream_away_s: float = 60.0


@dataclass
class Outcome:
    """What the devices were told, what history holds, and what it took."""

    acknowledged: int = 0
    missing: int = 0
    doubled: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    kills: int = 0
    cuts: int = 0
    reconnects: int = 0
    puts_hurt: int = 0
    went_on: float = 0.0
    """Of the devices, those that were acknowledged while Postgres was away, after connections were cut."""
    calm_mib: float = 0.0
    peak_mib: float = 0.0
    on_stream: int = 0

    @property
    def bound_mib(self) -> float:
        """What a gateway process may have at most."""
        return self.calm_mib + 2 * BUDGET_MIB + ROOM_MIB


def fire_rows(state: Path) -> list[Row]:
    """The figures on a running stack of one region; raises AssertionError where the promise was broken."""
    devices = int(os.environ.get("FLEETLAKE_BENCH_FIRE_DEVICES", "2000"))
    away_s = float(os.environ.get("FLEETLAKE_BENCH_FIRE_AWAY_S", "60"))
    outcome = burn(state, Plan(devices=devices, records_s=devices / 10, stream_away_s=away_s))
    check(outcome)
    return rows_of(outcome)


def burn(state: Path, plan: Plan) -> Outcome:
    """Set it on fire, put it out, consume, process, and compare history with what was acknowledged."""
    outcome = Outcome()
    told = uvloop.run(_Fire(state, plan, outcome).run())
    print(f"fire: {len(told)} acknowledged; consume and process", file=sys.stderr)
    outcome.on_stream = reported(state, "consume", "--region", REGION, "--until-idle")["landed"]
    reported(state, "process", "--region", REGION)
    held = _in_history(state)
    outcome.acknowledged = len(told)
    outcome.missing = sum(one not in held for one in told)
    outcome.doubled = sum(count - 1 for count in held.values())
    return outcome


def check(outcome: Outcome) -> None:
    """Raise AssertionError where the promise was broken."""
    assert (outcome.missing, outcome.doubled, outcome.refused) == (0, 0, {}), outcome
    assert outcome.went_on, outcome
    assert outcome.peak_mib <= outcome.bound_mib, outcome


def rows_of(outcome: Outcome) -> list[Row]:
    """The report."""
    told = "acknowledged records"
    rows = [
        Row(id="fire_acknowledged", what=told, value=outcome.acknowledged, unit="records"),
        Row(id="fire_missing", what=f"{told} that history lacks", value=outcome.missing, unit="records"),
        Row(id="fire_doubled", what="records that history has twice", value=outcome.doubled, unit="records"),
    ]
    more = [
        ("kill -9 of gateway processes, Redis and the stream", outcome.kills, "kills"),
        ("connections cut mid-packet", outcome.cuts, "connections"),
        ("connections that broke", outcome.reconnects, "connections"),
        ("puts refused, or their answers lost", outcome.puts_hurt, "requests"),
        ("records on the stream", outcome.on_stream, "records"),
        ("devices served while Postgres was away", 100 * outcome.went_on, "%"),
        ("memory of a gateway process in calm", outcome.calm_mib, "MiB"),
        ("memory of a gateway process at most", outcome.peak_mib, "MiB"),
        ("memory that a gateway process may have", outcome.bound_mib, "MiB"),
    ]
    return rows + [Row(what=f"fire: {what}", value=value, unit=unit) for what, value, unit in more]


class _Fire:
    """The fleet, what is around it, and the troubles one after another."""

    def __init__(self, state: Path, plan: Plan, outcome: Outcome) -> None:
        self._state, self._plan, self._outcome = state, plan, outcome
        self._chance = random.Random(7)
        self._answers = Answers()
        self._environment = stack.region_environment(state, REGION, {})
        self._settings = RegionSettings.load(self._environment)
        self._stopped = asyncio.Event()

    async def run(self) -> set[tuple[str, int]]:
        """What was acknowledged, by device and time."""
        settings = self._settings
        authority = fleet_authority(folder_of(settings.state, REGION), FLEET)
        await asyncio.to_thread(add_ca, settings, FLEET, authority.certificate, "active")
        self._gate = StreamGate(str(settings.kinesis.endpoint))
        async with self._gate.before() as url:
            environment = {**self._environment, "FLEETLAKE_KINESIS_ENDPOINT": url}
            self._gateway = GatewayProcess(environment, workers=WORKERS, **_TUNING)
            try:
                await asyncio.to_thread(self._gateway.ready)
                self._network = Network(self._gateway.port("mqtt"), self._chance)
                async with self._network.serving() as port:
                    devices = await self._fleet(port)
                    await self._burn(devices)
                assert await asyncio.to_thread(self._gateway.end) == 0
            finally:
                self._gateway.kill()
        self._outcome.cuts, self._outcome.puts_hurt = self._network.cuts, self._gate.hurt
        self._outcome.reconnects, self._outcome.refused = self._answers.reconnects, self._refused()
        return {(device.device_id, ts) for device in devices for ts in device.got}

    def _refused(self) -> dict[str, int]:
        """Records refused for good; a CONNECT that was refused is tried again."""
        return {why: count for why, count in self._answers.refused.items() if not why.startswith("connect")}

    async def _fleet(self, port: int) -> list[Device]:
        names = [f"fire-{number:05d}" for number in range(self._plan.devices)]
        contexts = await asyncio.to_thread(client_tls, self._settings, names)
        endpoint = Endpoint("127.0.0.1", port, "localhost")
        return [Device(name, endpoint, tls, self._answers) for name, tls in zip(names, contexts, strict=True)]

    async def _burn(self, devices: list[Device]) -> None:
        lines = [asyncio.create_task(device.run()) for device in devices]
        watch = asyncio.create_task(self._watch())
        try:
            await self._all_in(devices)
            talk = asyncio.create_task(report_in_turn(devices, self._plan.records_s, self._stopped))
            await self._calm()
            self._outcome.calm_mib = self._outcome.peak_mib
            await self._troubles(devices)
            self._stopped.set()
            await talk
            print(f"fire: over; {_unanswered(devices)} records wait for an answer", file=sys.stderr)
            await self._until(lambda: not _unanswered(devices), _ANSWERED_S, lambda: str(_unanswered(devices)))
        finally:
            for task in (*lines, watch):
                task.cancel()
            await asyncio.gather(*lines, watch, return_exceptions=True)

    async def _all_in(self, devices: list[Device]) -> None:
        """Every device is in and has been answered once."""
        for place, device in enumerate(devices):
            device.report()
            if place % 10 == 0:
                await asyncio.sleep(0.02)
        await self._until(lambda: all(device.got for device in devices), _ALL_IN_S, lambda: str(self._answers))

    async def _troubles(self, devices: list[Device]) -> None:
        plan = self._plan
        await self._trouble("a gateway process is killed", plan.calm_s, self._kill_one)
        await self._trouble("the network cuts connections mid-packet", plan.trouble_s / 2, self._cut)
        with self._stream(Mode.THROTTLE):
            await self._trouble("the stream throttles, and a process is killed", plan.trouble_s, self._kill_one)
        with self._stream(Mode.DEAF):
            await self._trouble("the stream's answers are lost, and the network cuts", plan.trouble_s, self._cut)
        with self._stream(Mode.AWAY):
            await self._trouble("the stream is away, and a process is killed", plan.stream_away_s, self._kill_one)
        await self._calm()
        await self._trouble("the stream's process is killed", 0.0, lambda: self._kill("kinesis"))
        await asyncio.to_thread(stack.up, self._state)
        await self._trouble("Redis is killed", plan.trouble_s / 2, lambda: self._kill("redis"))
        await asyncio.to_thread(stack.up, self._state)
        with frozen(self._state, "postgres"):
            await self._calm()
            at_s = time.monotonic()
            await self._trouble("Postgres hangs, and the network cuts", plan.trouble_s * 2, self._cut)
            served = sum(device.last_answer_s > at_s for device in devices)
            self._outcome.went_on = served / len(devices)
        await self._trouble("calm, and a process is killed", plan.calm_s, self._kill_one)

    async def _trouble(self, name: str, seconds: float, begin: Callable[[], None]) -> None:
        print(f"fire: {name}", file=sys.stderr)
        await asyncio.to_thread(begin)
        await asyncio.sleep(seconds)

    async def _calm(self) -> None:
        await asyncio.sleep(self._plan.calm_s)

    def _cut(self) -> None:
        self._network.cut(0.5)

    def _kill_one(self) -> None:
        """kill -9 of one gateway process that runs."""
        alive = [pid for pid in self._pids() if psutil.pid_exists(pid)]
        if alive:
            psutil.Process(self._chance.choice(alive)).kill()
            self._outcome.kills += 1

    def _kill(self, service: str) -> None:
        kill(process_of(self._state, service))
        self._outcome.kills += 1

    @contextmanager
    def _stream(self, mode: Mode) -> Iterator[None]:
        self._gate.mode = mode
        yield
        self._gate.mode = Mode.PASS

    async def _watch(self) -> None:
        """The greatest memory of a gateway process."""
        while True:
            for pid in self._pids():
                with suppress(psutil.NoSuchProcess):
                    rss_mib = psutil.Process(pid).memory_info().rss / 2**20
                    self._outcome.peak_mib = max(self._outcome.peak_mib, rss_mib)
            await asyncio.sleep(0.5)

    def _pids(self) -> list[int]:
        return [int(line["pid"]) for line in self._gateway.started()]

    async def _until(self, so: Callable[[], bool], within_s: float, told: Callable[[], str]) -> None:
        deadline = time.monotonic() + within_s
        while not so():
            assert time.monotonic() < deadline, told()
            await asyncio.sleep(0.2)


def _unanswered(devices: list[Device]) -> int:
    return sum(device.sent - len(device.got) for device in devices)


def _in_history(state: Path) -> dict[tuple[str, int], int]:
    """How often history has each record, by device and time in milliseconds."""
    import pyarrow as pa

    from lake.iceberg.catalog import catalog

    settings = RegionSettings.load(stack.region_environment(state, REGION, {}))
    table = catalog(settings).load_table("history.telemetry").scan(selected_fields=("device_id", "ts")).to_arrow()
    counted = table.group_by(["device_id", "ts"]).aggregate([([], "count_all")])
    times = (counted["ts"].cast(pa.int64()).to_numpy() // 1000).tolist()
    return dict(
        zip(zip(counted["device_id"].to_pylist(), times, strict=True), counted["count_all"].to_pylist(), strict=True)
    )


@contextmanager
def frozen(state: Path, service: str) -> Iterator[None]:
    """While inside, the service's processes stand still: connections to it hang."""
    main = process_of(state, service)
    family = [main, *main.children(recursive=True)]
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.resume()
