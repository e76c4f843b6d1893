"""QoS 1 load from this process: a session that is let in, and messages as fast as they are answered."""

import asyncio
import ssl
import time

from contracts.ports import HOST
from gateway.mqtt.client import ClientSession

TALKING = 50
"""Devices that send at once."""
Open = tuple[asyncio.StreamReader, asyncio.StreamWriter, ClientSession]


async def begin(name: str, port: int, tls: ssl.SSLContext | None = None, token: str | None = None) -> Open:
    """A session that was let in."""
    named = "localhost" if tls is not None else None
    reader, writer = await asyncio.open_connection(HOST, port, ssl=tls, server_hostname=named)
    session = ClientSession()
    secret = None if token is None else token.encode()
    writer.write(session.connect(name, user_name=None if token is None else name, password=secret))
    while session.connack is None:
        session.receive(await reader.read(65_536))
    assert not session.connack.reason, session.connack
    return reader, writer, session


async def talk(
    name: str,
    place: int,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    session: ClientSession,
    until: float,
    counts: list[int],
) -> None:
    """One device sends until then, and until all is answered; counts[place] is how many were."""
    topic, number = f"v1/devices/{name}/telemetry", 0
    while time.monotonic() < until or session.waiting:
        made = []
        while session.room > 0 and time.monotonic() < until:
            number += 1
            now_ms = time.time_ns() // 1_000_000
            body = f'{{"device_id":"{name}","ts":{now_ms},"lat":50.0,"lon":8.0,"odometer_km":{number}}}'
            made.append(session.publish(topic, body.encode())[1])
        writer.write(b"".join(made))
        for answer in session.receive(await reader.read(65_536)):
            assert answer.reason < 0x80, answer  # mosquitto says 0x10 where nobody subscribes
            counts[place] += 1
