"""P9: what a device was told is on the stream is there, though gateways are killed and stores are away."""

import json
import os
import signal
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest

import stack as embedded
from gateway.identity.laptop import device_files, fleet_authority, folder_of
from gateway.mqtt.encode import encode
from gateway.mqtt.packets import Publish, Version
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


@pytest.mark.parametrize("via", ["mqtt", pytest.param("http", marks=pytest.mark.long)])
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
    with frozen(ground.state, "postgres"):
        wait_until(lambda: gateway.health()["registry_away"], 60)
        assert first.publish(topic("steady"), telemetry("steady", 1)).reason == 0
        again = MqttClient(gateway.port("mqtt"), gateway.trust())
        assert again.connect("steady", token) == 0
        new = MqttClient(gateway.port("mqtt"), gateway.trust())
        assert new.connect("newcomer", other) == 0x88
    wait_until(lambda: not gateway.health()["registry_away"], 60)


def test_processes_end_with_their_parent_and_a_port_in_use_is_said(ground: Ground) -> None:
    gateway = ground.start(workers=2)
    port = gateway.port("mqtt")
    second = GatewayProcess(embedded.region_environment(ground.state, "eu", {}), mqtt_port=port)
    assert second.wait() == 1
    wait_until(lambda: any(f"port {port} cannot be had" in line.get("text", "") for line in second.log), 10)
    gateway.kill()
    wait_until(lambda: not listens(port), 40)


def listens(port: int) -> bool:
    """Whether anybody accepts connections."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


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


@contextmanager
def frozen(state: Path, service: str) -> Iterator[None]:
    """While inside, the service's processes stand still: connections to it hang."""
    processes = [_pid(state, service), *_children(_pid(state, service))]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


def test_while_the_stream_hangs_nothing_is_acknowledged_and_then_it_is(ground: Ground) -> None:
    gateway = ground.start(put_time_s=3, **STEADY)
    client = MqttClient(gateway.port("mqtt"), gateway.trust())
    assert client.connect("patient", ground.device("patient")) == 0
    with frozen(ground.state, "kinesis"):
        answer = client.publish(topic("patient"), telemetry("patient", 1))
        assert (answer.reason, "send again" in answer.text) == (0x97, True)
        wait_until(lambda: gateway.health()["stream_down_s"] > 0, 10)
        packet_id, data = client.session.publish(topic("patient"), telemetry("patient", 2))
        client.socket.sendall(data)
    assert client.publish(topic("patient"), telemetry("patient", 3)).reason == 0
    assert packet_id not in client.session.waiting
    held = on_stream(ground.settings)
    assert any(b"patient-3" in data for data in held)
    assert gateway.health()["held_bytes"] == 0


def test_memory_is_bounded_while_the_stream_hangs(ground: Ground) -> None:
    """Ten devices send without end; what the process holds stays within its bound and a message a connection."""
    gateway = ground.start(unacknowledged_mib=1, device_kib_s=10_000, put_time_s=60, **STEADY)
    clients = []
    for number in range(10):
        client = MqttClient(gateway.port("plain"))
        assert client.connect(f"flood-{number}", ground.device(f"flood-{number}")) == 0
        client.socket.settimeout(0.5)
        clients.append(client)
    body = b'{"device_id":"flood-%d","ts":1795417366074,"attributes":{"x":"' + b"x" * 60_000 + b'"}}'
    with frozen(ground.state, "kinesis"):
        sent = [_flood(client, topic(f"flood-{number}"), body % number) for number, client in enumerate(clients)]
        health = gateway.health()
        assert sum(sent) > 1 << 20
        assert 1 << 20 <= health["held_bytes"] <= (1 << 20) + 10 * len(body)
        assert gateway.metric('reading_paused_total{reason="process_full"}') > 0
    for client in clients:
        client.close()
    wait_until(lambda: gateway.health()["held_bytes"] == 0, 60, lambda: str(gateway.health()))


def _flood(client: MqttClient, name: str, body: bytes) -> int:
    """Send messages of QoS 0 until the socket takes no more; the bytes that it took."""
    data = encode(Publish(name, body), Version.V5)
    sent = 0
    try:
        while sent < 64 << 20:
            sent += client.socket.send(data[sent % len(data) :])
    except TimeoutError:
        pass
    return sent


def _pid(state: Path, service: str) -> int:
    return int(json.loads(Layout.of(state).process(service).read_text())["pid"])


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
