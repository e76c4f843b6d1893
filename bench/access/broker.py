"""mosquitto with a bridge in place of the gateway: what it acknowledged, and what of that is on the stream.

The same load as the gateway's, from this process: FLEETLAKE_BENCH_GATEWAY_S (10) seconds of QoS 1 as fast as answered,
without TLS. mosquitto is Debian's, with its own queue limits: `apt-get install mosquitto`.
"""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import uvloop

import stack
from bench.access.talk import TALKING, begin, talk
from bench.one_region import REGION
from bench.rows import Row
from contracts.ports import HOST
from contracts.settings import RegionSettings
from tests.builders.gateway import on_stream

_PLACES = ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto")
_WITHIN_S = 30.0


def broker_rows(state: Path) -> list[Row]:
    """The figures on a running stack of one region; a row without figures where there is no mosquitto."""
    program = shutil.which("mosquitto") or next((place for place in _PLACES if Path(place).exists()), None)
    if program is None:
        print("gateway: no mosquitto beside it; on Debian: apt-get install mosquitto", file=sys.stderr)
        return []
    seconds = float(os.environ.get("FLEETLAKE_BENCH_GATEWAY_S", "10"))
    environment = stack.region_environment(state, REGION, {})
    with _mosquitto(program, state) as (port, broker), _bridge(environment, port) as bridge:
        began_s = _cpu_s(broker)
        acknowledged = uvloop.run(_load(port, seconds))
        spent_s = _cpu_s(broker) - began_s
        said = _last_word(bridge)
    held = len(set(on_stream(RegionSettings.load(environment))))
    told = "records that mosquitto acknowledged"
    each = 1e6 / acknowledged
    return [
        Row(id="broker_acknowledged", what=told, value=acknowledged, unit="records"),
        Row(id="broker_lost", what=f"{told}, and that its bridge never had", value=acknowledged - held, unit="records"),
        Row(id="broker_cpu_us", what="CPU of a message, mosquitto, plain", value=each * spent_s, unit="us"),
        Row(
            id="broker_bridge_cpu_us",
            what="CPU of a message, mosquitto and its bridge, plain",
            value=each * (spent_s + said["cpu_s"]),
            unit="us",
        ),
    ]


async def _load(port: int, seconds: float) -> int:
    """Messages that were acknowledged."""
    names = [f"plain-{number}" for number in range(TALKING)]
    connections = [await begin(name, port) for name in names]
    until, counts = time.monotonic() + seconds, [0] * TALKING
    await asyncio.gather(*(talk(name, place, *connections[place], until, counts) for place, name in enumerate(names)))
    for _, writer, _ in connections:
        writer.close()
    return sum(counts)


@contextmanager
def _mosquitto(program: str, state: Path) -> Iterator[tuple[int, psutil.Process]]:
    """A broker on a free port."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = int(probe.getsockname()[1])
    settings = state / "mosquitto.conf"
    settings.write_text(f"listener {port} {HOST}\nallow_anonymous true\n")
    process = subprocess.Popen([program, "-c", str(settings)], stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def _bridge(environment: dict[str, str], port: int) -> "Iterator[subprocess.Popen[str]]":
    """A bridge that has subscribed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLEETLAKE_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.peers.mosquitto_bridge", str(port)],
        env={**kept, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["subscribed"]
        yield process
    finally:
        process.kill()
        process.wait(30)


def _last_word(bridge: "subprocess.Popen[str]") -> dict[str, float]:
    """Let the bridge put what the broker still has for it; what it did."""
    output, _ = bridge.communicate("")
    said: dict[str, float] = json.loads(output.splitlines()[-1])
    return said


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while True:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, "mosquitto does not listen"
            time.sleep(0.1)
        else:
            return


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
