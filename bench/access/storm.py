"""All devices reconnect at once, while some that are connected report: how long their acknowledgements take.

FLEETLAKE_BENCH_STORM_DEVICES (2,000) mTLS sessions are held by two processes of the gateway and two of
clients, for FLEETLAKE_BENCH_HOLD_S (60) before all of them break. More than some 19,000 a process need a higher ulimit.
FLEETLAKE_BENCH_STEADY_DEVICES (50) stay and report once a second: 1,000 are some 1,000 messages a second.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

import stack
from bench.access.fleet import FLEET, Device, client_tls
from bench.one_region import REGION
from bench.rows import Row
from bench.team import quantile
from contracts.settings import RegionSettings
from gateway.admin.devices import add_ca
from gateway.identity.laptop import fleet_authority, folder_of
from gateway.uplink import Answers, Endpoint
from tests.builders.gateway import GatewayProcess

EVERY_S = 0.5
CLIENTS = WORKERS = 2
TUNING = {
    "source_failures_min": 1_000_000,
    "source_connects_s": 1_000_000,
    "device_connects_min": 1_000,
    "identity_age_s": 600,
}
"""One address stands for many here; the limits that protect the connected are as they ship."""


@dataclass(frozen=True)
class Outcome:
    """Sessions held, messages answered a second meanwhile, and seconds of acknowledgements before and in a storm."""

    held: int
    messages_s: float
    calm_p99_s: float
    storm_p99_s: float
    back_s: float
    back: int


def storm_rows(state: Path) -> list[Row]:
    """The figures on a running stack of one region."""
    devices = int(os.environ.get("FLEETLAKE_BENCH_STORM_DEVICES", "2000"))
    hold_s = float(os.environ.get("FLEETLAKE_BENCH_HOLD_S", "60"))
    steady = int(os.environ.get("FLEETLAKE_BENCH_STEADY_DEVICES", "50"))
    outcome = storm(state, devices, hold_s, steady)
    assert outcome.held == outcome.back == devices, outcome
    ratio = outcome.storm_p99_s / outcome.calm_p99_s
    return [
        Row(id="held_connections", what=f"mTLS sessions held for {hold_s:.0f} s", value=outcome.held, unit="sessions"),
        Row(id="held_messages_s", what="messages acknowledged meanwhile", value=outcome.messages_s, unit="1/s"),
        Row(id="storm_ack_p99_vs_calm", what="acknowledgement p99, storm over calm", value=ratio, unit="x"),
        Row(what="acknowledgement p99 in calm", value=1e3 * outcome.calm_p99_s, unit="ms"),
        Row(what="acknowledgement p99 in the storm", value=1e3 * outcome.storm_p99_s, unit="ms"),
        Row(what=f"all {devices:,} back after", value=outcome.back_s, unit="s"),
    ]


def storm(state: Path, devices: int, hold_s: float, steady: int) -> Outcome:
    """Hold them, break them, and have them come back."""
    environment = stack.region_environment(state, REGION, {})
    settings = RegionSettings.load(environment)
    add_ca(settings, FLEET, fleet_authority(folder_of(settings.state, REGION), FLEET).certificate, "active")
    gateway = GatewayProcess(environment, workers=WORKERS, **TUNING)
    crowds: list[_CrowdProcess] = []
    try:
        port = gateway.ready().port("mqtt")
        share = devices // CLIENTS
        counts = [share] * (CLIENTS - 1) + [devices - share * (CLIENTS - 1)]
        crowds += [_CrowdProcess(environment, port, number * share, count) for number, count in enumerate(counts)]
        return uvloop.run(_measure(settings, port, crowds, hold_s, steady))
    finally:
        for crowd in crowds:
            crowd.kill()
        gateway.kill()


class _CrowdProcess:
    """A process of `bench.access.crowd`."""

    def __init__(self, environment: Mapping[str, str], port: int, first: int, count: int) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FLEETLAKE_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.access.crowd", str(port), str(first), str(count)],
            env={**kept, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[2],
        )

    async def ask(self, command: str) -> dict[str, Any]:
        """Have it do that; its answer. "" waits for what it says unasked."""
        return await asyncio.to_thread(self._ask, command)

    def kill(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(10)

    def _ask(self, command: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if command:
            self._process.stdin.write(f"{command}\n")
            self._process.stdin.flush()
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        return said


async def _measure(
    settings: RegionSettings, port: int, crowds: "Sequence[_CrowdProcess]", hold_s: float, count: int
) -> Outcome:
    await asyncio.gather(*(crowd.ask("") for crowd in crowds))
    steady = await _Steady.connected(settings, port, count)
    try:
        began_s = time.monotonic()
        calm = await steady.times_while(asyncio.sleep(hold_s))
        messages_s = len(calm) / (time.monotonic() - began_s)
        held = sum(said["standing"] for said in await asyncio.gather(*(crowd.ask("count") for crowd in crowds)))
        said: list[dict[str, Any]] = []

        async def break_all() -> None:
            said.extend(await asyncio.gather(*(crowd.ask("storm") for crowd in crowds)))

        stormy = await steady.times_while(break_all())
    finally:
        await steady.end()
    back_s, back = max(one["seconds"] for one in said), sum(one["standing"] for one in said)
    return Outcome(held, messages_s, quantile(calm, 0.99), quantile(stormy, 0.99), back_s, back)


class _TimedDevice(Device):
    """Knows how long its last acknowledgement took."""

    reported_s = 0.0


class _Steady:
    """Devices that stay connected and report."""

    def __init__(self, devices: list[_TimedDevice]) -> None:
        self._devices = devices
        self._lines = [asyncio.create_task(device.run()) for device in devices]

    @classmethod
    async def connected(cls, settings: RegionSettings, port: int, count: int) -> "_Steady":
        """All of them in."""
        names = [f"steady-{number}" for number in range(count)]
        contexts = await asyncio.to_thread(client_tls, settings, names)
        endpoint = Endpoint("127.0.0.1", port, "localhost")
        made = cls([_TimedDevice(name, endpoint, tls, Answers()) for name, tls in zip(names, contexts, strict=True)])
        await made._report()
        return made

    async def times_while(self, work: Any) -> list[float]:
        """Seconds of the acknowledgements until the work is done."""
        running, times = asyncio.ensure_future(work), []
        while not running.done():
            times += await self._report()
            await asyncio.sleep(EVERY_S)
        await running
        return times

    async def end(self) -> None:
        """Let go."""
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    async def _report(self) -> list[float]:
        """Each reports once, spread over the time between; how long each waited for its answer."""
        for device in self._devices:
            device.reported_s = time.monotonic()
            device.report()
            await asyncio.sleep(EVERY_S / len(self._devices))
        while any(len(device.got) < device.sent for device in self._devices):
            await asyncio.sleep(0.005)
        return [device.last_answer_s - device.reported_s for device in self._devices]
