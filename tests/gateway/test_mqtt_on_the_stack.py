"""Devices over MQTT, TLS and the real stream: what is acknowledged is there, and who may not speak is told why."""

import json
import ssl
from pathlib import Path

import pytest

from gateway.admin.devices import set_access, speak_for, why
from gateway.identity.authority import issue_device, new_authority
from gateway.identity.laptop import device_files, fleet_authority, folder_of
from gateway.identity.model import Access
from gateway.mqtt.packets import Version
from gateway.mqtt.reasons import Reason
from gateway.service.hub import tell
from tests.builders.consumer_process import wait_until
from tests.builders.gateway import GatewayProcess, MqttClient, client_tls, on_stream, telemetry, topic
from tests.gateway.conftest import Ground


@pytest.mark.parametrize("version", list(Version), ids=["3.1.1", "5"])
def test_what_is_acknowledged_is_on_the_stream(ground: Ground, version: Version) -> None:
    device = f"mqtt-{version}"
    token = ground.device(device)
    client = MqttClient(ground.gateway.port("mqtt"), ground.gateway.trust(), version)
    assert client.connect(device, token) == Reason.SUCCESS
    sent = []
    for number in range(20):
        sent.append(telemetry(device, number))
        assert client.publish(topic(device), sent[-1]).reason == Reason.SUCCESS
    client.close()
    assert [data for data in on_stream(ground.settings) if device.encode() in data] == sent


def test_a_certificate_of_the_fleets_ca_lets_an_unknown_device_in(ground: Ground, tmp_path: Path) -> None:
    authority = fleet_authority(folder_of(ground.settings.state, "eu"), "acme")
    tls = client_tls(ground.gateway, *device_files(tmp_path, authority, "by-certificate"))
    client = MqttClient(ground.gateway.port("mqtt"), tls)
    assert client.connect("by-certificate") == Reason.SUCCESS
    assert client.publish(topic("by-certificate"), telemetry("by-certificate")).reason == Reason.SUCCESS
    assert why(ground.settings, "by-certificate")["access"] == Access.ACTIVE


def test_a_strangers_certificate_ends_in_the_handshake(ground: Ground, tmp_path: Path) -> None:
    tls = client_tls(ground.gateway, *device_files(tmp_path, new_authority("strangers"), "stranger"))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        MqttClient(ground.gateway.port("mqtt"), tls).connect("stranger")
    wait_until(lambda: any("handshakes_total" in row for row in _metrics(ground, "handshakes_total{")), 10)


def test_an_expired_certificate_ends_in_the_handshake(ground: Ground, tmp_path: Path) -> None:
    authority = fleet_authority(folder_of(ground.settings.state, "eu"), "acme")
    pair = issue_device(authority, "late", days=-1)
    (tmp_path / "c.pem").write_text(pair.certificate)
    (tmp_path / "k.pem").write_text(pair.key)
    tls = client_tls(ground.gateway, tmp_path / "c.pem", tmp_path / "k.pem")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        MqttClient(ground.gateway.port("mqtt"), tls).connect("late")
    expired = 'handshakes_total{outcome="certificate_has_expired"}'
    wait_until(lambda: ground.gateway.metric(expired) >= 1, 10, lambda: str(_metrics(ground, "handshakes_total")))


def test_who_is_refused_is_told_why_and_so_is_the_owner(ground: Ground) -> None:
    ground.device("known")
    client = MqttClient(ground.gateway.port("mqtt"), ground.gateway.trust())
    assert client.connect("known", "a wrong token") == Reason.BAD_USER_NAME_OR_PASSWORD
    assert client.ended() is None
    anonymous = MqttClient(ground.gateway.port("mqtt"), ground.gateway.trust())
    assert anonymous.connect("known") == Reason.BAD_USER_NAME_OR_PASSWORD
    wait_until(lambda: why(ground.settings, "known")["reason"] == "bad_credential", 20)


def test_a_device_speaks_for_itself_and_a_concentrator_for_its_own(ground: Ground) -> None:
    token = ground.device("hub")
    for device in ("leaf", "foreign"):
        ground.device(device)
    speak_for(ground.settings, "hub", ["leaf"])
    client = ground.connected("hub", token)
    assert client.publish(topic("hub"), telemetry("leaf", 1)).reason == Reason.SUCCESS
    assert client.publish(topic("leaf"), telemetry("leaf", 2)).reason == Reason.SUCCESS
    assert client.publish(topic("hub"), telemetry("foreign", 3)).reason == Reason.NOT_AUTHORIZED
    assert client.publish(topic("foreign"), telemetry("hub", 4)).reason == Reason.NOT_AUTHORIZED
    mixed = b"[" + telemetry("hub", 5) + b"," + telemetry("foreign", 6) + b"]"
    assert client.publish(topic("hub"), mixed).reason == Reason.NOT_AUTHORIZED
    twice = b'{"device_id":"foreign","ts":1,"device_id":"hub"}'
    assert client.publish(topic("hub"), twice).reason == Reason.PAYLOAD_FORMAT_INVALID
    own = [data for data in on_stream(ground.settings) if b'"hub' in data or b'"leaf' in data]
    assert [json.loads(data)["event_id"] for data in own] == ["leaf-1", "leaf-2"]
    assert not any(b"foreign" in data for data in on_stream(ground.settings))


def test_an_unauthorised_message_ends_a_session_of_3_1_1(ground: Ground) -> None:
    token = ground.device("old")
    client = MqttClient(ground.gateway.port("mqtt"), ground.gateway.trust(), Version.V3_1_1)
    assert client.connect("old", token) == Reason.SUCCESS
    with pytest.raises(ConnectionError):
        client.publish(topic("another"), telemetry("old"))
    wait_until(lambda: why(ground.settings, "old")["reason"] == "other_device", 20)


def test_records_of_one_message_are_split_and_acknowledged_together(ground: Ground) -> None:
    client = ground.connected("batch", ground.device("batch"))
    records = [telemetry("batch", number) for number in range(6)]
    assert client.publish(topic("batch"), b"[" + b" , ".join(records[:3]) + b"]").reason == Reason.SUCCESS
    assert client.publish(topic("batch"), b"\n".join(records[3:]) + b"\n").reason == Reason.SUCCESS
    assert [data for data in on_stream(ground.settings) if b'"batch"' in data] == records


def test_a_second_connection_takes_the_session_over(ground: Ground) -> None:
    token = ground.device("roamer")
    first = ground.connected("roamer", token)
    second = ground.connected("roamer", token)
    assert first.ended() == Reason.SESSION_TAKEN_OVER
    assert second.publish(topic("roamer"), telemetry("roamer")).reason == Reason.SUCCESS


def test_a_revocation_ends_the_session_and_no_other(ground: Ground) -> None:
    tokens = {device: ground.device(device) for device in ("stays", "goes")}
    stays, goes = ground.connected("stays", tokens["stays"]), ground.connected("goes", tokens["goes"])
    set_access(ground.settings, ["goes"], Access.REVOKED)
    assert tell(ground.settings.redis_url.get_secret_value(), "eu", ["goes"])
    assert goes.ended() == Reason.ADMINISTRATIVE_ACTION
    again = MqttClient(ground.gateway.port("mqtt"), ground.gateway.trust())
    assert again.connect("goes", tokens["goes"]) == Reason.NOT_AUTHORIZED
    assert stays.publish(topic("stays"), telemetry("stays")).reason == Reason.SUCCESS


def test_a_revocation_that_nobody_told_is_found_by_age(ground: Ground) -> None:
    client = ground.connected("untold", ground.device("untold"))
    set_access(ground.settings, ["untold"], Access.REVOKED)
    assert client.ended() == Reason.ADMINISTRATIVE_ACTION


def test_who_says_nothing_is_ended(ground: Ground) -> None:
    silent = MqttClient(ground.gateway.port("mqtt"), ground.gateway.trust())
    assert silent.ended() is None
    no_mqtt = MqttClient(ground.gateway.port("plain"))
    no_mqtt.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert no_mqtt.ended() is None


def test_a_too_large_packet_is_refused_by_its_header(ground: Ground) -> None:
    client = ground.connected("large", ground.device("large"))
    client.socket.sendall(b"\x32\x81\x80\x05")
    assert client.ended() == Reason.PACKET_TOO_LARGE


def test_two_processes_share_the_ports_and_end_in_order(ground: Ground) -> None:
    pair: GatewayProcess = ground.start(workers=2, linger_ms=200)
    token = ground.device("two")
    for _ in range(8):
        client = MqttClient(pair.port("mqtt"), pair.trust())
        assert client.connect("two", token) == Reason.SUCCESS
    assert client.publish(topic("two"), telemetry("two")).reason == Reason.SUCCESS
    wait_until(lambda: sum(pair.health(number)["sessions"] for number in (0, 1)) == 1, 20)
    assert pair.end() == 0
    assert client.ended() == Reason.SERVER_SHUTTING_DOWN


def _metrics(ground: Ground, name: str) -> list[str]:
    return [row for row in ground.gateway.page("/metrics").splitlines() if row.startswith(f"fleetlake_gateway_{name}")]
