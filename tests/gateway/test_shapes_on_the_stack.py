"""Devices that speak in shapes of their own, over MQTT and HTTP: their records are on the stream in the contract's."""

import json
from pathlib import Path

import pytest

import stack as embedded
from gateway.mqtt.packets import Version
from gateway.mqtt.reasons import Reason
from tests.builders.gateway import GatewayProcess, MqttClient, on_stream, post, telemetry, topic
from tests.gateway.conftest import Ground

SHAPES = """
[[shape]]
name = "owntracks"
topic = "owntracks/+/{device}"
[shape.mapping]
ts = { column = "tst", unit = "s" }
fields = { speed_kmh = "vel" }

[[shape]]
name = "tracker"
path = "/tracker/v2"
records = "positions"
[shape.mapping]
device_id = { column = "unit", prefix = "vt-" }
"""


@pytest.fixture(scope="module")
def gateway(shared: Ground, tmp_path_factory: pytest.TempPathFactory) -> GatewayProcess:
    """One that knows the shapes."""
    file = tmp_path_factory.mktemp("shapes") / "shapes.toml"
    file.write_text(SHAPES)
    return shared.start(shapes=file, linger_ms=5, device_connects_min=1_000, source_failures_min=1_000)


@pytest.mark.parametrize("version", list(Version), ids=["3.1.1", "5"])
def test_owntracks_publishes_as_it_does(ground: Ground, gateway: GatewayProcess, version: Version) -> None:
    device = f"phone-{version}"
    client = MqttClient(gateway.port("mqtt"), gateway.trust(), version)
    assert client.connect(device, ground.device(device)) == Reason.SUCCESS
    sent = b'{"_type":"location","lat":52.5,"lon":13.25,"tst":1795417366,"vel":43}'
    assert client.publish(f"owntracks/jane/{device}", sent).reason == Reason.SUCCESS
    assert client.publish(topic(device), telemetry(device)).reason == Reason.SUCCESS
    client.close()
    mine = [json.loads(data) for data in on_stream(ground.settings) if device.encode() in data]
    assert mine[0] == {
        **{"device_id": device, "ts": 1795417366000, "lat": 52.5, "lon": 13.25, "speed_kmh": 43},
        "attributes": {"_type": "location"},
    }
    assert "event_id" in mine[1], "the contract's own topic is as it was"


def test_what_a_shape_refuses_is_told(ground: Ground, gateway: GatewayProcess) -> None:
    client = MqttClient(gateway.port("mqtt"), gateway.trust())
    assert client.connect("phone-x", ground.device("phone-x")) == Reason.SUCCESS
    assert client.publish("owntracks/jane/phone-y", b"{}").reason == Reason.NOT_AUTHORIZED
    assert client.publish("owntracks/jane/phone-x", b"$GPRMC").reason == Reason.PAYLOAD_FORMAT_INVALID
    assert client.publish("owntracks/jane", b"{}").reason == Reason.TOPIC_NAME_INVALID
    client.close()
    assert not [data for data in on_stream(ground.settings) if b"phone-y" in data]


def test_a_tracker_posts_a_list(ground: Ground, gateway: GatewayProcess) -> None:
    ground.device("vt-17")
    token = ground.device("vt-18")
    body = b'{"unit":18,"positions":[{"ts":1795417366001,"lat":1.5,"lon":2.5},{"ts":1795417366002}]}'
    connection = {"Authorization": f"Bearer vt-18:{token}", "Content_Type": "application/json"}
    assert post(gateway, body, path="/tracker/v2", **connection) == (202, {"accepted": 2})
    status, said = post(gateway, body.replace(b"18", b"17"), path="/tracker/v2", **connection)
    assert (status, said["reason"]) == (403, "other_device")
    status, said = post(gateway, b'{"unit":18}', path="/tracker/v2", **connection)
    assert (status, said["reason"]) == (400, "bad_payload")
    assert post(gateway, body, path="/tracker/v3", **connection)[0] == 404
    mine = [json.loads(data) for data in on_stream(ground.settings) if b'"vt-18"' in data]
    assert mine == [
        {"device_id": "vt-18", "ts": 1795417366001, "lat": 1.5, "lon": 2.5},
        {"device_id": "vt-18", "ts": 1795417366002},
    ]
    assert not [data for data in on_stream(ground.settings) if b'"vt-17"' in data]


def test_a_file_with_a_fault_ends_the_start_with_2(ground: Ground, tmp_path: Path) -> None:
    file = tmp_path / "shapes.toml"
    file.write_text(SHAPES.replace("owntracks/+/{device}", "v1/#"))
    gateway = GatewayProcess(embedded.region_environment(ground.state, "eu", {}), workers=2, shapes=file)
    assert gateway.wait(240) != 0
    said = "".join(str(line.get("text", "")) for line in gateway.log)
    assert "FLEETLAKE_GATEWAY_SHAPES" in said
    assert "takes the contract's own" in said
