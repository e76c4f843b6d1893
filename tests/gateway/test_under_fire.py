"""P9: what a device was told is on the stream is there, though gateways are killed and stores are away."""

import json
import os
import signal
import ssl
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

import psycopg
import pytest

from gateway.identity.laptop import device_files, fleet_authority, folder_of
from gateway.uplink import Endpoint, Uplink
from stack.layout import Layout
from tests.builders.command import reported
from tests.builders.consumer_process import wait_until
from tests.builders.gateway import GatewayProcess, MqttClient, client_tls, on_stream, telemetry, topic
from tests.gateway.conftest import Ground

DEVICES, ROUNDS = 12, 40
STEADY = {"source_failures_min": 10_000, "device_connects_min": 1_000, "device_messages_s": 200, "linger_ms": 20}


@pytest.fixture
def credentials(ground: Ground, tmp_path: Path) -> dict[str, ssl.SSLContext]:
    """Client TLS by device."""
    authority = fleet_authority(folder_of(ground.settings.state, "eu"), "acme")
    names = [f"fire-{number}" for number in range(DEVICES)]
    return {name: client_tls(ground.gateway, *device_files(tmp_path, authority, name)) for name in names}


def send(gateway: GatewayProcess, credentials: dict[str, ssl.SSLContext], via: str, sent: list[bytes]) -> Uplink:
    """Every device's records in rounds, until all are answered."""
    endpoint = Endpoint("127.0.0.1", gateway.port("mqtt" if via == "mqtt" else "http"), "localhost")
    with Uplink(via, endpoint, credentials.__getitem__, silent_s=90) as uplink:  # type: ignore[arg-type]
        for number in range(ROUNDS):
            records = [(name, telemetry(name, number)) for name in credentials]
            sent += [data for _, data in records]
            uplink.put(records)
            time.sleep(0.05)
    return uplink


def pids(gateway: GatewayProcess) -> list[int]:
    """The processes that were started, newest last."""
    return [line["pid"] for line in gateway.started()]


def is_so_far(gateway: GatewayProcess, sent: list[bytes], at_least: int, started: int) -> bool:
    """Whether so many records were sent and so many processes started."""
    return len(sent) >= at_least and len(pids(gateway)) >= started


@pytest.mark.parametrize("via", ["mqtt", "http"])
def test_killed_processes_cost_nothing_that_was_acknowledged(
    ground: Ground, credentials: dict[str, ssl.SSLContext], via: str
) -> None:
    gateway = ground.start(workers=2, **STEADY)
    sent: list[bytes] = []
    found: list[Uplink] = []
    sending = threading.Thread(target=lambda: found.append(send(gateway, credentials, via, sent)))
    sending.start()
    for kill, victim in enumerate((1, 0, 2)):
        at_least, started = DEVICES * 8 * (kill + 1), 2 + kill
        wait_until(partial(is_so_far, gateway, sent, at_least, started), 60)
        os.kill(pids(gateway)[victim], signal.SIGKILL)
    sending.join(120)
    assert found, "not every record was answered"
    assert (found[0].answers.acknowledged, dict(found[0].answers.refused)) == (DEVICES * ROUNDS, {})
    held = Counter(on_stream(ground.settings))
    assert [data for data in sent if not held[data]] == []
    assert len(gateway.events("gateway.died")) == 3
    assert gateway.end() == 0
    with psycopg.connect(ground.settings.postgres_dsn.get_secret_value()) as postgres:
        rows = postgres.execute("select sum(records) from ops.acknowledged").fetchone()
    assert rows is not None and 0 < rows[0] <= sum(held.values())


def test_a_known_device_works_on_while_postgres_is_away_and_an_unknown_one_is_told(ground: Ground) -> None:
    gateway = ground.start(identity_age_s=1, **STEADY)
    token, other = ground.device("steady"), ground.device("newcomer")
    first = MqttClient(gateway.port("mqtt"), gateway.trust())
    assert first.connect("steady", token) == 0
    postgres = _pid(ground.state, "postgres")
    os.kill(postgres, signal.SIGSTOP)
    for child in _children(postgres):
        os.kill(child, signal.SIGSTOP)
    try:
        wait_until(lambda: gateway.health()["registry_away"], 60)
        assert first.publish(topic("steady"), telemetry("steady", 1)).reason == 0
        again = MqttClient(gateway.port("mqtt"), gateway.trust())
        assert again.connect("steady", token) == 0
        new = MqttClient(gateway.port("mqtt"), gateway.trust())
        assert new.connect("newcomer", other) == 0x88
    finally:
        for child in [postgres, *_children(postgres)]:
            os.kill(child, signal.SIGCONT)
    wait_until(lambda: not gateway.health()["registry_away"], 60)


def test_simulated_fleets_come_through_the_gateway_and_reconcile(ground: Ground) -> None:
    gateway = ground.start(**STEADY)
    ports = {f"FLEETLAKE_GATEWAY_{name.upper()}_PORT": str(gateway.port(name)) for name in ("mqtt", "http")}
    words = ("simulate", "--region", "eu", "--devices", "6", "--hours", "3", "--seed", "4", "--mess")
    words += ("--mess-share", "0.1")
    for via in ("mqtt", "http"):
        found = reported(ground.state, *words, "--via", via, **ports)
        told = found["gateway"]
        assert told["acknowledged"] + sum(told["refused"].values()) == found["records"] > 0
        assert told["acknowledged"] >= found["expect"]["history"]
    gateway.end()
    stages = reported(ground.state, "reconcile", "--region", "eu")
    assert stages["ok"], stages["differences"]
    assert 0 < stages["stages"]["acknowledged"] <= stages["stages"]["backlog"]


def _pid(state: Path, service: str) -> int:
    return int(json.loads(Layout.of(state).process(service).read_text())["pid"])


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
