"""MQTT over a WebSocket: a real client, frames cut anywhere, and what is no MQTT."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import paho.mqtt.client as paho
import pytest

from gateway.mqtt.client import ClientSession
from gateway.mqtt.packets import Version
from tests.builders.consumer_process import wait_until
from tests.builders.gateway import on_stream, telemetry, topic
from tests.gateway.conftest import Ground

WITHIN_S = 30.0


@pytest.mark.parametrize("version", [paho.MQTTv311, paho.MQTTv5], ids=["3.1.1", "5"])
def test_paho_publishes_over_a_websocket(ground: Ground, version: Any) -> None:
    device = f"browser-{int(version)}"
    token = ground.device(device)
    sent = [telemetry(device, number) for number in range(20)]
    before = ground.gateway.health()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, device, protocol=version, transport="websockets")
    client.ws_set_options(path="/mqtt")
    client.tls_set_context(ground.gateway.trust())
    client.username_pw_set(device, token)
    client.connect("localhost", ground.gateway.port("http"))
    client.loop_start()
    try:
        wait_until(client.is_connected, WITHIN_S)
        for info in [client.publish(topic(device), data, 1) for data in sent]:
            info.wait_for_publish(WITHIN_S)
    finally:
        client.disconnect()
        client.loop_stop()
    assert [data for data in on_stream(ground.settings) if device.encode() in data] == sent

    def left() -> bool:
        now = ground.gateway.health()
        return all(now[name] <= before[name] for name in ("sessions", "connections"))

    wait_until(left, WITHIN_S)


def test_packets_are_split_over_frames_in_any_way(ground: Ground) -> None:
    token = ground.device("cut")
    session = ClientSession(Version.V5)
    sent = telemetry("cut", 1)

    async def talk(socket: aiohttp.ClientWebSocketResponse) -> None:
        data = session.connect("cut", user_name="cut", password=token.encode())
        for place in range(len(data)):
            await socket.send_bytes(data[place : place + 1])
        while session.connack is None:
            session.receive(await socket.receive_bytes(timeout=WITHIN_S))
        assert session.connack.reason == 0
        first, second = session.publish(topic("cut"), sent), session.publish(topic("cut"), sent)
        await socket.send_bytes(first[1] + second[1])
        answered: list[int] = []
        while len(answered) < 2:
            answered += [one.packet_id for one in session.receive(await socket.receive_bytes(timeout=WITHIN_S))]
        assert answered == [first[0], second[0]]

    asyncio.run(_on_socket(ground, talk))
    assert [data for data in on_stream(ground.settings) if data == sent] == [sent, sent]


def test_a_text_frame_ends_a_websocket(ground: Ground) -> None:
    async def talk(socket: aiohttp.ClientWebSocketResponse) -> None:
        await socket.send_str("hello")
        message = await socket.receive(timeout=WITHIN_S)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.UNSUPPORTED_DATA)

    asyncio.run(_on_socket(ground, talk))


def test_a_websocket_of_another_subprotocol_is_ended(ground: Ground) -> None:
    async def talk(socket: aiohttp.ClientWebSocketResponse) -> None:
        message = await socket.receive(timeout=WITHIN_S)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.PROTOCOL_ERROR)

    asyncio.run(_on_socket(ground, talk, protocols=("chat",)))


def test_a_bad_password_is_told_and_the_websocket_closed(ground: Ground) -> None:
    ground.device("locked")
    session = ClientSession(Version.V5)

    async def talk(socket: aiohttp.ClientWebSocketResponse) -> None:
        await socket.send_bytes(session.connect("locked", user_name="locked", password=b"wrong"))
        session.receive(await socket.receive_bytes(timeout=WITHIN_S))
        assert session.connack is not None and session.connack.reason == 0x86
        assert (await socket.receive(timeout=WITHIN_S)).type is aiohttp.WSMsgType.CLOSE

    asyncio.run(_on_socket(ground, talk))


def test_a_request_that_is_no_websocket_is_told(ground: Ground) -> None:
    async def ask() -> None:
        url = f"https://localhost:{ground.gateway.port('http')}/mqtt"
        async with aiohttp.ClientSession() as client, client.get(url, ssl=ground.gateway.trust()) as answer:
            assert answer.status == 400
            assert (await answer.json())["reason"] == "bad_request"

    asyncio.run(ask())


async def _on_socket(
    ground: Ground,
    talk: Callable[[aiohttp.ClientWebSocketResponse], Awaitable[None]],
    protocols: tuple[str, ...] = ("mqtt",),
) -> None:
    url = f"wss://localhost:{ground.gateway.port('http')}/mqtt"
    async with (
        aiohttp.ClientSession() as client,
        client.ws_connect(url, ssl=ground.gateway.trust(), protocols=protocols) as socket,
    ):
        await talk(socket)
