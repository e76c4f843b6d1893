"""A gateway in processes of its own, and small blocking clients of it."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from contracts.kpl import deaggregate, is_aggregate
from contracts.names import stream
from contracts.settings import RegionSettings
from gateway.identity.laptop import folder_of, server_files
from gateway.mqtt.client import Answered, ClientSession
from gateway.mqtt.packets import Version
from tests.builders.consumer_process import wait_until

_RUN = """
import sys
from cli.gateway import with_certificate
from contracts.settings import RegionSettings
from gateway.service.processes import serve_gateway
if __name__ == "__main__":
    serve_gateway(with_certificate(RegionSettings.load()), int(sys.argv[1]))
"""
ANSWER_WITHIN_S = 30.0


class GatewayProcess:
    """A gateway; its log is a list of events that grows."""

    def __init__(self, environment: Mapping[str, str], *, workers: int = 1, **tuning: object) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FLEETLAKE_")}
        free = {"mqtt_port": 0, "http_port": 0, "plain_port": 0}
        tuned = {f"FLEETLAKE_GATEWAY_{name.upper()}": str(value) for name, value in {**free, **tuning}.items()}
        whole = {**kept, **environment, **tuned}
        self.log: list[dict[str, Any]] = []
        self.settings = RegionSettings.load(whole)
        self.workers = workers
        self._process = subprocess.Popen(
            [sys.executable, "-c", _RUN, str(workers)], env=whole, stderr=subprocess.PIPE, text=True
        )
        threading.Thread(target=self._read, daemon=True).start()

    def ready(self) -> "GatewayProcess":
        """Wait until every process listens."""
        wait_until(lambda: len(self.started()) >= self.workers, 240, lambda: str(self.log[-5:]))
        return self

    def started(self) -> list[dict[str, Any]]:
        """The processes that listen, or did."""
        return self.events("gateway.started")

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines of that event."""
        return [line for line in list(self.log) if line.get("event") == name]

    def port(self, name: str) -> int:
        """A port: mqtt, http or plain."""
        return int(self.started()[0][name])

    def page(self, page: str, number: int = 0) -> str:
        """The body of one of a process's pages."""
        url = self.started()[number]["metrics"].replace("/metrics", page)
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return str(error.read().decode())

    def health(self, number: int = 0) -> dict[str, Any]:
        """A process's state."""
        found: dict[str, Any] = json.loads(self.page("/healthz", number))
        return found

    def metric(self, line: str) -> float:
        """The value of a metric, over all processes that were started last."""
        pages = [self.page("/metrics", number) for number in range(len(self.started()))]
        return sum(
            float(row.rpartition(" ")[2])
            for page in pages
            for row in page.splitlines()
            if row.startswith(f"fleetlake_gateway_{line} ")
        )

    def trust(self) -> ssl.SSLContext:
        """A client's TLS that believes this server."""
        files = server_files(folder_of(self.settings.state, self.settings.region))
        return ssl.create_default_context(cafile=str(files.ca))

    def end(self) -> int:
        """SIGTERM, and wait."""
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self, within_s: float = 40) -> int:
        """Wait for its end; the exit code."""
        return self._process.wait(within_s)

    def kill(self) -> None:
        """kill -9, also where it is gone."""
        self._process.kill()
        self._process.wait(10)

    def _read(self) -> None:
        for line in self._process.stderr or ():
            try:
                self.log.append(json.loads(line))
            except json.JSONDecodeError:
                self.log.append({"event": "text", "text": line})


class MqttClient:
    """A blocking client on a socket."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None, version: Version = Version.V5) -> None:
        made = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_WITHIN_S)
        self.socket = tls.wrap_socket(made, server_hostname="localhost") if tls is not None else made
        self.session = ClientSession(version)

    def connect(self, name: str, token: str | None = None, client_id: str | None = None) -> int:
        """CONNECT; the reason of its answer."""
        password = None if token is None else token.encode()
        user = None if token is None else name
        self.socket.sendall(self.session.connect(client_id or name, user_name=user, password=password))
        while self.session.connack is None:
            self._receive()
        return int(self.session.connack.reason)

    def publish(self, topic: str, payload: bytes) -> Answered:
        """A message of QoS 1, and its answer."""
        packet_id, data = self.session.publish(topic, payload)
        self.socket.sendall(data)
        while True:
            for answer in self._receive():
                if answer.packet_id == packet_id:
                    return answer

    def ended(self) -> int | None:
        """Wait for the connection's end; the reason that DISCONNECT gave, if any."""
        try:
            while True:
                self._receive()
        except ConnectionError:
            said = self.session.disconnected
            return None if said is None else said.reason

    def close(self) -> None:
        """Close without goodbye."""
        self.socket.close()

    def _receive(self) -> list[Answered]:
        data = self.socket.recv(65_536)
        if not data:
            raise ConnectionError("the server closed")
        return self.session.receive(data)


def topic(device: str) -> str:
    """The topic of a device's telemetry."""
    return f"v1/devices/{device}/telemetry"


def telemetry(device: str, number: int = 0) -> bytes:
    """A record."""
    body = {"device_id": device, "ts": int(time.time() * 1000), "event_id": f"{device}-{number}", "speed_kmh": 50.5}
    return json.dumps(body).encode()


def post(
    gateway: GatewayProcess,
    body: bytes,
    tls: ssl.SSLContext | None = None,
    *,
    path: str = "/v1/telemetry",
    **headers: str,
) -> tuple[int, dict[str, Any]]:
    """POST over TLS: status and document."""
    connection = http.client.HTTPSConnection(
        "localhost", gateway.port("http"), timeout=ANSWER_WITHIN_S, context=tls or gateway.trust()
    )
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", path, body, named)
        answer = connection.getresponse()
        text = answer.read()
        try:
            return answer.status, json.loads(text)
        except json.JSONDecodeError:
            return answer.status, {"text": text.decode()}
    finally:
        connection.close()


@contextmanager
def counted(gateway: GatewayProcess, metric: str, event: str, reason: str) -> Iterator[None]:
    """What happens within counts once, and is one log line."""

    def lines() -> int:
        return sum(line["reason"] == reason for line in gateway.events(event))

    before, said = gateway.metric(metric), lines()
    yield
    wait_until(lambda: (gateway.metric(metric), lines()) == (before + 1, said + 1), 15)


def on_stream(settings: RegionSettings) -> list[bytes]:
    """Every user record on the region's stream."""
    client = boto3.client("kinesis", **settings.kinesis.client_kwargs(settings.row.aws_region))
    name, found = stream(settings.region), []
    for shard in client.list_shards(StreamName=name)["Shards"]:
        where = {"StreamName": name, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = client.get_shard_iterator(**where)["ShardIterator"]
        while iterator:
            answer = client.get_records(ShardIterator=iterator, Limit=10_000)
            for record in answer["Records"]:
                data = record["Data"]
                found += deaggregate(data) if is_aggregate(data) else [data]
            if not answer["Records"] and not answer.get("MillisBehindLatest"):
                break
            iterator = answer.get("NextShardIterator")
    return found


def client_tls(gateway: GatewayProcess, certificate: Path, key: Path) -> ssl.SSLContext:
    """A client's TLS with a certificate of its own."""
    context = gateway.trust()
    context.load_cert_chain(certificate, key)
    return context
