"""Device access: CPU of a QoS 1 message, of a handshake, and memory of a connection, of one gateway process.

FLEETLAKE_BENCH_GATEWAY_DEVICES (400) connect; FLEETLAKE_BENCH_GATEWAY_S (10) is how long each load runs. The load comes
from this process, on the same machine; what is measured is the gateway process's own CPU time and memory, from /proc.
Every message waits for PutRecords on the embedded Kinesis, so messages/s are the stack's as much as the gateway's.

Then mosquitto and a bridge have the same load; devices are revoked, all connections break at once, and all around the
gateway does. FLEETLAKE_BENCH_GATEWAY_PARTS (cost,broker,revocation,storm,fire) chooses; each part's settings are in its
module in bench/access/.
"""

import asyncio
import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import uvloop

import stack
from bench.access.broker import broker_rows
from bench.access.fire import fire_rows
from bench.access.revocation import revocation_rows
from bench.access.storm import storm_rows
from bench.access.talk import TALKING, Open, begin, talk
from bench.one_region import REGION, stack_of_one_region
from bench.rows import Row
from contracts.errors import Misuse
from contracts.settings import RegionSettings
from gateway.admin.devices import NewDevice, add, add_ca, make_token
from gateway.identity.laptop import device_files, fleet_authority, folder_of, server_files

SHARDS = 4
FLEET = "bench"
AT_ONCE = 20
_UNLIMITED = {
    "DEVICE_MESSAGES_S": "1000000",
    "DEVICE_KIB_S": "1000000",
    "FLEET_MESSAGES_S": "1000000",
    "DEVICE_CONNECTS_MIN": "1000000",
    "SOURCE_CONNECTS_S": "1000000",
    "HANDSHAKES_S": "1000000",
    "MQTT_PORT": "0",
    "HTTP_PORT": "0",
    "PLAIN_PORT": "0",
}
_RUN = (
    "from cli.gateway import with_certificate; from contracts.settings import RegionSettings; "
    "from gateway.service.processes import serve_gateway; serve_gateway(with_certificate(RegionSettings.load()), 1)"
)


@dataclass(frozen=True, slots=True)
class _Load:
    """What a load was, and what the gateway's process spent on it."""

    messages: int
    seconds: float
    cpu_s: float

    @property
    def cpu_us(self) -> float:
        return 1e6 * self.cpu_s / self.messages


def _parts() -> dict[str, Callable[[Path], list[Row]]]:
    return {
        "cost": _cost,
        "broker": broker_rows,
        "revocation": revocation_rows,
        "storm": storm_rows,
        "fire": fire_rows,
    }


def run() -> list[Row]:
    """The parts that are chosen, each on a stack of its own; raises where a promise is broken."""
    parts = _parts()
    rows: list[Row] = []
    for name in os.environ.get("FLEETLAKE_BENCH_GATEWAY_PARTS", ",".join(parts)).split(","):
        if name not in parts:
            raise Misuse(f"FLEETLAKE_BENCH_GATEWAY_PARTS: there is no part {name!r}; there are {', '.join(parts)}")
        with stack_of_one_region(SHARDS) as state:
            rows += parts[name](state)
    return rows


def _cost(state: Path) -> list[Row]:
    """One process, plain and with client certificates; raises where a message is refused."""
    devices = int(os.environ.get("FLEETLAKE_BENCH_GATEWAY_DEVICES", "400"))
    seconds = float(os.environ.get("FLEETLAKE_BENCH_GATEWAY_S", "10"))
    with _gateway(state) as (settings, process, ports):
        bench = _Bench(settings, process, ports, devices)
        plain = uvloop.run(bench.load(seconds, tls=False))
        handshakes_s, handshake_cpu_ms, kb = uvloop.run(bench.connect(devices))
        mtls = uvloop.run(bench.load(seconds, tls=True))
    rate = "records acknowledged a second"
    return [
        Row(id="cpu_us_plain", what="CPU of a QoS 1 message, plain", value=plain.cpu_us, unit="us"),
        Row(id="cpu_us_mtls", what="CPU of a QoS 1 message, mTLS", value=mtls.cpu_us, unit="us"),
        Row(id="messages_s_plain", what=f"{rate}, plain", value=plain.messages / plain.seconds, unit="1/s"),
        Row(id="messages_s_mtls", what=f"{rate}, mTLS", value=mtls.messages / mtls.seconds, unit="1/s"),
        Row(id="handshakes_s", what="mTLS sessions begun a second", value=handshakes_s, unit="1/s"),
        Row(id="handshake_cpu_ms", what="CPU of an mTLS session's begin", value=handshake_cpu_ms, unit="ms"),
        Row(id="kb_a_connection_mtls", what=f"memory of an idle mTLS session, of {devices}", value=kb, unit="KB"),
    ]


class _Bench:
    """A running gateway process, and devices of it."""

    def __init__(self, settings: RegionSettings, process: psutil.Process, ports: dict[str, int], devices: int) -> None:
        self._settings, self._process, self._ports = settings, process, ports
        self._folder = folder_of(settings.state, REGION)
        self._authority = fleet_authority(self._folder, FLEET)
        names = [f"{kind}-{number}" for kind in ("plain", "talk") for number in range(TALKING)]
        add(settings, [NewDevice(name, FLEET) for name in (*names, *(f"idle-{number}" for number in range(devices)))])
        self._tokens = [make_token(settings, f"plain-{number}", days=None, replace=False) for number in range(TALKING)]

    async def load(self, seconds: float, *, tls: bool) -> _Load:
        """TALKING devices send as fast as they are answered."""
        opened = [self._open(number, tls=tls) for number in range(TALKING)]
        connections = [await one for one in opened]
        until, counts = time.monotonic() + seconds, [0] * TALKING
        cpu_s, began = self._cpu_s(), time.monotonic()
        kind = "talk" if tls else "plain"
        await asyncio.gather(
            *(talk(f"{kind}-{number}", number, *connections[number], until, counts) for number in range(TALKING))
        )
        load = _Load(sum(counts), time.monotonic() - began, self._cpu_s() - cpu_s)
        for _, writer, _ in connections:
            writer.close()
        return load

    async def connect(self, devices: int) -> tuple[float, float, float]:
        """Sessions a second, CPU milliseconds of each, and KB of each once they are idle."""
        contexts = [self._client_tls(f"idle-{number}") for number in range(devices)]
        # The first ones find the process cold.
        warm = [await self._begin(f"idle-{number}", contexts[number]) for number in range(AT_ONCE)]
        kb, cpu_s, began = self._kb(), self._cpu_s(), time.monotonic()
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> Open:
            async with gate:
                return await self._begin(f"idle-{number}", contexts[number])

        held = await asyncio.gather(*map(one, range(AT_ONCE, devices)))
        took, spent = time.monotonic() - began, self._cpu_s() - cpu_s
        grown = self._kb() - kb
        for _, writer, _ in (*warm, *held):
            writer.close()
        return len(held) / took, 1e3 * spent / len(held), grown / len(held)

    async def _open(self, number: int, *, tls: bool) -> Open:
        if tls:
            return await self._begin(f"talk-{number}", self._client_tls(f"talk-{number}"))
        return await begin(f"plain-{number}", self._ports["plain"], None, self._tokens[number])

    async def _begin(self, name: str, tls: ssl.SSLContext) -> Open:
        return await begin(name, self._ports["mqtt"], tls)

    def _client_tls(self, name: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(server_files(self._folder).ca))
        with tempfile.TemporaryDirectory() as folder:
            context.load_cert_chain(*device_files(Path(folder), self._authority, name))
        return context

    def _cpu_s(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def _kb(self) -> float:
        return float(self._process.memory_info().rss) / 1024


@contextmanager
def _gateway(state: Path) -> Iterator[tuple[RegionSettings, psutil.Process, dict[str, int]]]:
    """A process of the gateway with its limits out of the way, and its ports."""
    environment = stack.region_environment(state, REGION, {})
    tuned = {f"FLEETLAKE_GATEWAY_{name}": value for name, value in _UNLIMITED.items()}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLEETLAKE_")}
    settings = RegionSettings.load(environment)
    # The process reads the CAs at its start.
    add_ca(settings, FLEET, fleet_authority(folder_of(settings.state, REGION), FLEET).certificate, "active")
    log = state / "gateway.log"
    with log.open("w") as written:
        process = subprocess.Popen([sys.executable, "-c", _RUN], env={**kept, **environment, **tuned}, stderr=written)
    try:
        yield settings, psutil.Process(process.pid), _ports(log)
    finally:
        process.terminate()
        process.wait(60)


def _ports(log: Path) -> dict[str, int]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for line in log.read_text().splitlines():
            if '"gateway.started"' in line:
                started = json.loads(line)
                return {name: int(started[name]) for name in ("mqtt", "plain")}
        time.sleep(0.1)
    raise AssertionError(f"the gateway did not start: {log.read_text()[-500:]}")
