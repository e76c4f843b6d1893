"""paho-mqtt, in 3.1.1 and 5, against the real gateway."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import paho.mqtt.client as paho
import pytest

from tests.builders.consumer_process import wait_until
from tests.builders.device_credential import DeviceCredential
from tests.builders.gateway import on_stream, telemetry, topic
from tests.gateway.conftest import Ground

WITHIN_S = 30.0
VERSIONS = pytest.mark.parametrize("version", [paho.MQTTv311, paho.MQTTv5], ids=["3.1.1", "5"])


class Seen:
    """What paho told its callbacks."""

    def __init__(self) -> None:
        self.connected: list[Any] = []
        self.published: dict[int, Any] = {}
        self.disconnected: list[Any] = []
        self.changed = threading.Event()

    def attach(self, client: paho.Client) -> None:
        """Have the client tell it."""
        client.on_connect = lambda _c, _u, _flags, reason, _p: self.connected.append(reason)
        client.on_publish = lambda _c, _u, mid, reason, _p: self.published.setdefault(mid, reason)
        client.on_disconnect = lambda _c, _u, _flags, reason, _p: self.disconnected.append(reason)


@contextmanager
def client(ground: Ground, credential: DeviceCredential, version: Any) -> Iterator[tuple[paho.Client, Seen]]:
    """A client with its loop in a thread."""
    made, seen = paho.Client(paho.CallbackAPIVersion.VERSION2, credential.device, protocol=version), Seen()
    made.tls_set_context(credential.tls())
    if credential.token is not None:
        made.username_pw_set(credential.user, credential.token)
    seen.attach(made)
    made.connect("localhost", ground.gateway.port("mqtt"))
    made.loop_start()
    try:
        yield made, seen
    finally:
        made.disconnect()
        made.loop_stop()


@VERSIONS
def test_every_qos_of_the_version_reaches_the_stream(
    ground: Ground, credential: DeviceCredential, version: Any
) -> None:
    levels = [0, 1, 1, 2, 1] if version is paho.MQTTv311 else [0, 1, 1, 0, 1]
    sent = [telemetry(credential.device, number) for number in range(len(levels))]
    with client(ground, credential, version) as (publisher, seen):
        infos = [publisher.publish(topic(credential.device), data, qos) for data, qos in zip(sent, levels, strict=True)]
        for info in infos:
            info.wait_for_publish(WITHIN_S)
        wait_until(lambda: len(seen.published) == len(levels), WITHIN_S)
    assert [reason.value for reason in seen.connected] == [0]
    assert {reason.value for reason in seen.published.values()} == {0}
    found = [data for data in on_stream(ground.settings) if credential.device.encode() in data]
    assert found == sent


@VERSIONS
def test_a_bad_password_is_told(ground: Ground, bad_password: DeviceCredential, version: Any) -> None:
    with client(ground, bad_password, version) as (_, seen):
        wait_until(lambda: bool(seen.connected), WITHIN_S)
    assert str(seen.connected[0]) == "Bad user name or password"


def test_a_foreign_device_is_refused_in_5_and_the_session_goes_on(ground: Ground, credential: DeviceCredential) -> None:
    with client(ground, credential, paho.MQTTv5) as (publisher, seen):
        foreign = publisher.publish(topic("somebody-else"), telemetry("somebody-else", 1), 1)
        within = publisher.publish(topic(credential.device), telemetry("somebody-else", 2), 1)
        own = publisher.publish(topic(credential.device), telemetry(credential.device), 1)
        wait_until(lambda: len(seen.published) == 3, WITHIN_S)
        reasons = [str(seen.published[info.mid]) for info in (foreign, within, own)]
        assert (reasons, seen.disconnected) == (["Not authorized", "Not authorized", "Success"], [])
    assert not any(b"somebody-else" in data for data in on_stream(ground.settings))


def test_a_foreign_device_ends_the_session_in_3_1_1(ground: Ground, credential: DeviceCredential) -> None:
    with client(ground, credential, paho.MQTTv311) as (publisher, seen):
        wait_until(lambda: bool(seen.connected), WITHIN_S)
        publisher.publish(topic("somebody-elses"), telemetry("somebody-elses"), 1)
        wait_until(lambda: bool(seen.disconnected), WITHIN_S)
        assert seen.published == {}
    assert not any(b"somebody-elses" in data for data in on_stream(ground.settings))


def test_qos_2_in_5_ends_the_session_with_its_reason(ground: Ground, credential: DeviceCredential) -> None:
    with client(ground, credential, paho.MQTTv5) as (publisher, seen):
        wait_until(lambda: bool(seen.connected), WITHIN_S)
        publisher.publish(topic(credential.device), telemetry(credential.device), 2)
        wait_until(lambda: bool(seen.disconnected), WITHIN_S)
    assert str(seen.disconnected[0]) == "QoS not supported"
