"""A device whose clock is off, and a stream that is not there: a reason for the device, a metric, one log line."""

import asyncio
import json
import ssl
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

import stack as embedded
from bench.access.stream_gate import Mode, StreamGate
from gateway.admin.devices import NewDevice, add, add_key
from gateway.identity.laptop import fleet_authority, folder_of
from gateway.mqtt.client import refusal_of
from gateway.mqtt.reasons import Reason
from tests.builders.consumer_process import wait_until
from tests.builders.gateway import GatewayProcess, MqttClient, client_tls, counted, on_stream, post, telemetry, topic
from tests.gateway.conftest import Ground

PEM = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module")
def gateway(shared: Ground) -> GatewayProcess:
    """A gateway of this file's own: its metrics and log lines are counted."""
    return shared.start(source_failures_min=10_000, device_connects_min=1_000, linger_ms=5)


def jwt(key: ed25519.Ed25519PrivateKey, clock_is_off: timedelta) -> str:
    """A token that a device makes, for an hour by its own clock."""
    now = datetime.now(UTC) + clock_is_off
    claims = {"nbf": now.timestamp(), "exp": (now + timedelta(hours=1)).timestamp()}
    parts = [json.dumps(part).encode() for part in ({"alg": "EdDSA", "typ": "JWT"}, claims)]
    signed = b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    return (signed + b"." + urlsafe_b64encode(key.sign(signed)).rstrip(b"=")).decode()


@pytest.mark.parametrize("hours", [-3, 3, 48], ids=["behind", "ahead", "days ahead"])
def test_a_clock_that_is_off_is_told_to_the_device(gateway: GatewayProcess, ground: Ground, hours: int) -> None:
    key, device = ed25519.Ed25519PrivateKey.generate(), f"clock-{hours}"
    add(ground.settings, [NewDevice(device, "acme")])
    add_key(ground.settings, device, key.public_key().public_bytes(*PEM).decode())
    with counted(gateway, 'refused_total{reason="bad_credential"}', "gateway.refused", "bad_credential"):
        client = MqttClient(gateway.port("mqtt"), gateway.trust())
        assert client.connect(device, jwt(key, timedelta(hours=hours))) == Reason.BAD_USER_NAME_OR_PASSWORD
        assert client.session.connack is not None
        assert "check the device's clock" in refusal_of(client.session.connack)
    right = MqttClient(gateway.port("mqtt"), gateway.trust())
    assert right.connect(device, jwt(key, timedelta())) == Reason.SUCCESS


def test_a_certificate_of_tomorrow_ends_in_the_handshake(
    gateway: GatewayProcess, ground: Ground, tmp_path: Path
) -> None:
    reason = "certificate_is_not_yet_valid"
    tls = client_tls(gateway, *certificate_of_tomorrow(ground, tmp_path))
    with counted(gateway, f'handshakes_total{{outcome="{reason}"}}', "gateway.handshake_failed", reason):  # noqa: SIM117
        with pytest.raises((ssl.SSLError, ConnectionError)):
            MqttClient(gateway.port("mqtt"), tls).connect("clock-ca")


def certificate_of_tomorrow(ground: Ground, folder: Path) -> tuple[Path, Path]:
    """A device's certificate and key, made by a fleet's CA whose clock is a day ahead."""
    authority = fleet_authority(folder_of(ground.settings.state, "eu"), "acme")
    issuer, key = (
        x509.load_pem_x509_certificate(authority.certificate.encode()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    begins = datetime.now(UTC) + timedelta(days=1)
    builder = x509.CertificateBuilder().issuer_name(issuer.subject).public_key(key.public_key())
    builder = builder.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "clock-ca")]))
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begins)
    signing = serialization.load_pem_private_key(authority.key.encode(), None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    made = builder.not_valid_after(begins + timedelta(days=30)).sign(signing, hashes.SHA256())
    form = serialization.PrivateFormat.PKCS8
    (folder / "c.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "k.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return folder / "c.pem", folder / "k.pem"


@contextmanager
def gated(ground: Ground) -> Iterator[tuple[StreamGate, dict[str, str]]]:
    """A gate before the stream, and the environment of a gateway behind it."""
    gate, found, loop = StreamGate(str(ground.settings.kinesis.endpoint)), threading.Event(), asyncio.new_event_loop()
    urls: list[str] = []
    ended = asyncio.Event()

    async def stand() -> None:
        async with gate.before() as url:
            urls.append(url)
            found.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(stand(),), daemon=True)
    thread.start()
    assert found.wait(30)
    try:
        yield gate, {**embedded.region_environment(ground.state, "eu", {}), "FLEETLAKE_KINESIS_ENDPOINT": urls[0]}
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(30)


def test_a_stream_that_is_missing_is_told_and_nothing_is_acknowledged(ground: Ground) -> None:
    token = ground.device("streamless")
    named = {"Content_Type": "application/json", "Authorization": f"Bearer streamless:{token}"}
    with gated(ground) as (gate, environment):
        gateway = GatewayProcess(environment, linger_ms=5, put_time_s=3)
        try:
            client = MqttClient(gateway.ready().port("mqtt"), gateway.trust())
            assert client.connect("streamless", token) == Reason.SUCCESS
            gate.mode = Mode.MISSING
            with counted(gateway, 'refused_total{reason="stream_away"}', "gateway.refused", "stream_away"):
                answer = client.publish(topic("streamless"), telemetry("streamless", 1))
                assert (answer.reason, answer.text) == (Reason.QUOTA_EXCEEDED, "there is no stream telemetry-eu")
            status, said = post(gateway, telemetry("streamless", 2), **named)
            assert (status, said["reason"], said["text"]) == (503, "stream_away", "there is no stream telemetry-eu")
            assert gateway.health()["acknowledged"] == 0
            gate.mode = Mode.PASS
            assert client.publish(topic("streamless"), telemetry("streamless", 3)).reason == Reason.SUCCESS
        finally:
            gateway.kill()
    held = [json.loads(data)["event_id"] for data in on_stream(ground.settings) if b"streamless" in data]
    assert held == ["streamless-3"]


def test_a_gateway_without_its_stream_does_not_start(ground: Ground) -> None:
    with gated(ground) as (gate, environment):
        gate.mode = Mode.MISSING
        gateway = GatewayProcess(environment)
        assert gateway.wait(120) == 1
        wait_until(lambda: any("there is no stream telemetry-eu" in str(line) for line in gateway.log), 10)
        assert not gateway.started()
