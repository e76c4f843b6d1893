"""gmqtt, an MQTT client of its own codec, in 3.1.1 and 5."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import gmqtt
import pytest
from gmqtt.mqtt.constants import MQTTv50, MQTTv311
from gmqtt.mqtt.handler import MQTTConnectError

from tests.builders.device_credential import DeviceCredential
from tests.builders.gateway import on_stream, telemetry, topic
from tests.gateway.conftest import Ground

WITHIN_S = 30.0
VERSIONS = pytest.mark.parametrize("version", [MQTTv311, MQTTv50], ids=["3.1.1", "5"])


@asynccontextmanager
async def connected(ground: Ground, credential: DeviceCredential, version: int) -> AsyncIterator[gmqtt.Client]:
    """A client that was let in and does not connect again."""
    client = gmqtt.Client(credential.device)
    client.set_config({"reconnect_retries": 0})
    if credential.token is not None:
        client.set_auth_credentials(credential.user, credential.token)
    port = ground.gateway.port("mqtt")
    try:
        await asyncio.wait_for(client.connect("localhost", port, ssl=credential.tls(), version=version), WITHIN_S)
        yield client
    finally:
        await client.disconnect()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(WITHIN_S):
        while not condition():
            await asyncio.sleep(0.02)


@VERSIONS
def test_every_qos_of_the_version_reaches_the_stream(
    ground: Ground, credential: DeviceCredential, version: int
) -> None:
    levels = [0, 1, 1, 2, 1] if version == MQTTv311 else [0, 1, 1, 0, 1]
    sent = [telemetry(credential.device, number) for number in range(len(levels))]

    async def publish() -> None:
        async with connected(ground, credential, version) as client:
            for data, qos in zip(sent, levels, strict=True):
                client.publish(topic(credential.device), data, qos=qos)
            await until(lambda: client._persistent_storage.is_empty)

    asyncio.run(publish())
    assert [data for data in on_stream(ground.settings) if credential.device.encode() in data] == sent


@VERSIONS
def test_a_bad_password_is_told(ground: Ground, bad_password: DeviceCredential, version: int) -> None:
    async def connect() -> None:
        async with connected(ground, bad_password, version):
            pass

    with pytest.raises(MQTTConnectError, match=r"(?i)bad user name or password"):
        asyncio.run(connect())


def test_a_foreign_device_is_refused(ground: Ground, credential: DeviceCredential) -> None:
    async def publish(version: int) -> list[bool]:
        ended: list[bool] = []
        async with connected(ground, credential, version) as client:
            client.on_disconnect = lambda *_: ended.append(True)
            client.publish(topic("gmqtt-other"), telemetry("gmqtt-other"), qos=1)
            await until(lambda: bool(ended) or client._persistent_storage.is_empty)
            return list(ended)

    assert asyncio.run(publish(MQTTv311)) == [True]
    assert asyncio.run(publish(MQTTv50)) == []
    assert not any(b"gmqtt-other" in data for data in on_stream(ground.settings))
