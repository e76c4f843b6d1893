"""Bad input over the socket: a reason for the device, a metric, and one log line for each."""

import socket
import ssl
import time
from pathlib import Path

import pytest

from gateway.identity.authority import issue_device, new_authority
from gateway.identity.laptop import device_files, fleet_authority, folder_of
from gateway.mqtt.reasons import Reason
from tests.builders.gateway import GatewayProcess, MqttClient, client_tls, counted, post, telemetry, topic
from tests.gateway.conftest import Ground

TWICE = b'{"device_id":"other","device_id":"bad-say"}'


@pytest.fixture(scope="module")
def gateway(shared: Ground) -> GatewayProcess:
    """A gateway of this file's own: its metrics and log lines are counted."""
    return shared.start(source_failures_min=10_000, device_connects_min=1_000, connect_time_s=2, request_time_s=2)


def client(gateway: GatewayProcess, ground: Ground, device: str) -> MqttClient:
    """A device that was let in."""
    made = MqttClient(gateway.port("mqtt"), gateway.trust())
    assert made.connect(device, ground.device(device)) == Reason.SUCCESS
    return made


@pytest.mark.parametrize(
    ("stranger", "reason"), [(True, "unable_to_get_local_issuer_certificate"), (False, "certificate_has_expired")]
)
def test_a_certificate_that_is_not_believed_ends_in_the_handshake(
    gateway: GatewayProcess, ground: Ground, tmp_path: Path, stranger: bool, reason: str
) -> None:
    if stranger:
        files = device_files(tmp_path, new_authority("strangers"), "bad-ca")
    else:
        pair = issue_device(fleet_authority(folder_of(ground.settings.state, "eu"), "acme"), "bad-date", days=-1)
        files = tmp_path / "c.pem", tmp_path / "k.pem"
        files[0].write_text(pair.certificate)
        files[1].write_text(pair.key)
    tls = client_tls(gateway, *files)
    with counted(gateway, f'handshakes_total{{outcome="{reason}"}}', "gateway.handshake_failed", reason):  # noqa: SIM117
        with pytest.raises((ssl.SSLError, ConnectionError)):
            MqttClient(gateway.port("mqtt"), tls).connect("bad-ca")


def test_an_oversized_packet(gateway: GatewayProcess, ground: Ground) -> None:
    made = client(gateway, ground, "bad-size")
    reason = "packet_too_large"
    with counted(gateway, f'sessions_ended_total{{reason="{reason}"}}', "gateway.session_ended", reason):
        made.socket.sendall(b"\x32\x81\x80\x05")
        assert made.ended() == Reason.PACKET_TOO_LARGE


@pytest.mark.parametrize(
    ("name", "body", "label", "reason"),
    [
        ("v1/things/bad-say/telemetry", b"{}", "bad_topic", Reason.TOPIC_NAME_INVALID),
        ("v1/devices/bad-say/telemetry", b"no json", "bad_payload", Reason.PAYLOAD_FORMAT_INVALID),
        (
            topic("bad-say"),
            b'{"device_id":"other","device_id":"bad-say"}',
            "bad_payload",
            Reason.PAYLOAD_FORMAT_INVALID,
        ),
        (topic("other"), telemetry("other"), "other_device", Reason.NOT_AUTHORIZED),
        (topic("bad-say"), b"[" + b"{}," * 5_000 + b"{}]", "too_large", Reason.IMPLEMENTATION_SPECIFIC_ERROR),
    ],
    ids=["unknown topic", "no JSON", "two device_id members", "another device", "too many records"],
)
def test_a_message_that_may_not_come(
    gateway: GatewayProcess, ground: Ground, name: str, body: bytes, label: str, reason: Reason
) -> None:
    made = client(gateway, ground, "bad-say")
    with counted(gateway, f'refused_total{{reason="{label}"}}', "gateway.refused", label):
        answer = made.publish(name, body)
        assert (answer.reason, bool(answer.text)) == (reason, True)


def test_a_connect_that_drips_is_closed_in_its_time(gateway: GatewayProcess) -> None:
    made, began = MqttClient(gateway.port("mqtt"), gateway.trust()), time.monotonic()
    whole = made.session.connect("bad-drip", user_name="bad-drip", password=b"p" * 200)
    made.socket.settimeout(0.1)
    reason = "keep_alive_timeout"
    with counted(gateway, f'sessions_ended_total{{reason="{reason}"}}', "gateway.session_ended", reason):
        for byte in whole:
            try:
                made.socket.sendall(bytes((byte,)))
                if made.socket.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert 1 < time.monotonic() - began < 10


def test_a_device_that_falls_silent_is_ended_after_its_keep_alive(gateway: GatewayProcess, ground: Ground) -> None:
    token, made = ground.device("bad-silent"), MqttClient(gateway.port("mqtt"), gateway.trust())
    reason = "keep_alive_timeout"
    with counted(gateway, f'sessions_ended_total{{reason="{reason}"}}', "gateway.session_ended", reason):
        hello = made.session.connect("bad-silent", user_name="bad-silent", password=token.encode(), keep_alive_s=1)
        made.socket.sendall(hello)
        began = time.monotonic()
        assert made.ended() == Reason.KEEP_ALIVE_TIMEOUT
        assert 1.4 < time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404),
        (b"PUT /v1/telemetry HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 405),
        (b"GET /" + b"a" * 6_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: " + b"a" * 9_000 + b"\r\n\r\n", 431),
        (b"nonsense\r\n\r\n", 400),
        (b"POST /v1/telemetry HTTP/1.1\r\nHost: a\r\n", 408),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "head",
)
def test_a_request_that_is_refused_unread(gateway: GatewayProcess, head: bytes, status: int) -> None:
    with counted(gateway, f'refused_total{{reason="http_{status}"}}', "gateway.refused", f"http_{status}"):
        made = socket.create_connection(("127.0.0.1", gateway.port("http")), timeout=20)
        with gateway.trust().wrap_socket(made, server_hostname="localhost") as secure:
            secure.sendall(head)
            assert int(secure.recv(65_536).split()[1]) == status


@pytest.mark.parametrize(
    ("body", "headers", "label", "status"),
    [
        (b" " * (1 << 20) + b"{}", {}, "too_large", 413),
        (b"{}", {"Content_Encoding": "br"}, "bad_type", 415),
        (telemetry("other"), {}, "other_device", 403),
    ],
    ids=["too large", "unknown encoding", "another device"],
)
def test_a_request_that_may_not_come(
    gateway: GatewayProcess, ground: Ground, body: bytes, headers: dict[str, str], label: str, status: int
) -> None:
    named = {"Content_Type": "application/json", "Authorization": f"Bearer bad-web:{ground.device('bad-web')}"}
    with counted(gateway, f'refused_total{{reason="{label}"}}', "gateway.refused", label):
        answered, document = post(gateway, body, **named, **headers)
        assert (answered, document["reason"]) == (status, label)
