"""A crowd of idle mTLS sessions in a process of its own: `python -m bench.access.crowd PORT FIRST COUNT`.

It connects them, says so on stdout, and does what stdin says: `storm` drops every connection and connects all at once,
`count` says how many stand. Its end is that of stdin.
"""

import asyncio
import json
import sys
import time
from contextlib import suppress
from typing import Any, cast

import uvloop

from bench.access.fleet import client_tls
from contracts.ports import HOST
from contracts.settings import RegionSettings
from gateway.mqtt.client import ClientSession
from gateway.mqtt.reasons import MqttError

KEEP_ALIVE_S = 1_200
AT_ONCE = 50
"""Connections that are begun at the same time before the storm."""
_AGAIN_S = (0.2, 5.0)
_WITHIN_S = 30.0


class _Session(asyncio.Protocol):
    """One device's connection; `stood` is done once it was let in, or not."""

    def __init__(self, device_id: str) -> None:
        self.transport: asyncio.Transport
        self.stood: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._device_id = device_id
        self._session = ClientSession()

    @property
    def stands(self) -> bool:
        """Whether the device is in."""
        return self.stood.done() and self.stood.result() and not self.transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._session.connect(self._device_id, keep_alive_s=KEEP_ALIVE_S))

    def data_received(self, data: bytes) -> None:
        with suppress(MqttError):
            self._session.receive(data)
        if self._session.connack is not None:
            self._stood(not self._session.connack.reason)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stood(False)

    def _stood(self, let_in: bool) -> None:
        if not self.stood.done():
            self.stood.set_result(let_in)


class Crowd:
    """Devices of consecutive numbers, each with one connection that it keeps."""

    def __init__(self, settings: RegionSettings, port: int, first: int, count: int) -> None:
        self._port = port
        self._names = [f"crowd-{number:05d}" for number in range(first, first + count)]
        self._contexts = client_tls(settings, self._names)
        self._sessions: list[_Session | None] = [None] * count

    @property
    def standing(self) -> int:
        """Devices that are in."""
        return sum(session is not None and session.stands for session in self._sessions)

    async def connect(self, at_once: int) -> None:
        """Every device connects, and again until it is in."""
        gate = asyncio.Semaphore(at_once)
        await asyncio.gather(*(self._come_in(place, gate) for place in range(len(self._names))))

    async def storm(self) -> float:
        """Every connection breaks, and all come back at once; the seconds until the last is in."""
        for session in self._sessions:
            if session is not None:
                session.transport.abort()
        began = time.monotonic()
        await self.connect(len(self._names))
        return time.monotonic() - began

    async def _come_in(self, place: int, gate: asyncio.Semaphore) -> None:
        pause_s, longest_s = _AGAIN_S
        while True:
            async with gate:
                if await self._try(place):
                    return
            await asyncio.sleep(pause_s)
            pause_s = min(longest_s, 2 * pause_s)

    async def _try(self, place: int) -> bool:
        loop, name = asyncio.get_running_loop(), self._names[place]
        try:
            async with asyncio.timeout(_WITHIN_S):
                made: Any = await loop.create_connection(
                    lambda: _Session(name), HOST, self._port, ssl=self._contexts[place], server_hostname="localhost"
                )
                self._sessions[place] = made[1]
                return bool(await made[1].stood)
        except (OSError, TimeoutError):
            return False


async def _serve(port: int, first: int, count: int) -> None:
    crowd = Crowd(RegionSettings.load(), port, first, count)
    await crowd.connect(AT_ONCE)
    _say(standing=crowd.standing)
    while command := (await asyncio.to_thread(sys.stdin.readline)).strip():
        if command == "storm":
            _say(seconds=await crowd.storm(), standing=crowd.standing)
        else:
            _say(standing=crowd.standing)


def _say(**what: float) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    uvloop.run(_serve(*map(int, sys.argv[1:])))
