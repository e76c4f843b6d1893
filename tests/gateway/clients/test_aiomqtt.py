"""aiomqtt, paho's codec on an event loop, in 3.1.1 and 5."""

import asyncio

import aiomqtt
import pytest

from tests.builders.device_credential import DeviceCredential
from tests.builders.gateway import on_stream, telemetry, topic
from tests.gateway.conftest import Ground

VERSIONS = pytest.mark.parametrize(
    "version", [aiomqtt.ProtocolVersion.V311, aiomqtt.ProtocolVersion.V5], ids=["3.1.1", "5"]
)


def client(ground: Ground, credential: DeviceCredential, version: aiomqtt.ProtocolVersion) -> aiomqtt.Client:
    """A client that is not connected yet."""
    return aiomqtt.Client(
        "localhost",
        ground.gateway.port("mqtt"),
        identifier=credential.device,
        username=credential.user,
        password=credential.token,
        protocol=version,
        tls_context=credential.tls(),
        timeout=30,
    )


@VERSIONS
def test_every_qos_of_the_version_reaches_the_stream(
    ground: Ground, credential: DeviceCredential, version: aiomqtt.ProtocolVersion
) -> None:
    levels = [0, 1, 2, 1] if version is aiomqtt.ProtocolVersion.V311 else [0, 1, 0, 1]
    sent = [telemetry(credential.device, number) for number in range(len(levels))]

    async def publish() -> None:
        async with client(ground, credential, version) as publisher:
            for data, qos in zip(sent, levels, strict=True):
                await publisher.publish(topic(credential.device), data, qos)

    asyncio.run(publish())
    assert [data for data in on_stream(ground.settings) if credential.device.encode() in data] == sent


@VERSIONS
def test_a_bad_password_is_told(
    ground: Ground, bad_password: DeviceCredential, version: aiomqtt.ProtocolVersion
) -> None:
    async def connect() -> None:
        async with client(ground, bad_password, version):
            pass

    with pytest.raises(aiomqtt.MqttError, match=r"(?i)bad user ?name or password"):
        asyncio.run(connect())


def test_a_foreign_device_ends_the_session_in_3_1_1(ground: Ground, credential: DeviceCredential) -> None:
    """In 5 the reason is in PUBACK, which aiomqtt does not hand on; paho's test reads it."""

    async def publish() -> None:
        async with client(ground, credential, aiomqtt.ProtocolVersion.V311) as publisher:
            await publisher.publish(topic("aiomqtt-other"), telemetry("aiomqtt-other"), 0)
            async with asyncio.timeout(30):
                async for _ in publisher.messages:
                    pass

    with pytest.raises(aiomqtt.MqttError, match="Disconnected"):
        asyncio.run(publish())
    assert not any(b"aiomqtt-other" in data for data in on_stream(ground.settings))
