"""A network between devices and the gateway that breaks in the middle of a packet."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from contracts.ports import HOST


class _End(asyncio.Protocol):
    """One end of a connection; what it receives goes out at the other."""

    def __init__(self, network: "Network") -> None:
        self.transport: asyncio.Transport
        self.other: _End | None = None
        self.doomed = False
        self._network = network
        self._early = b""
        """Received before there is another end."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early += data
            return
        if self.doomed:
            self.other.transport.write(data[: len(data) // 2])
            self._network.cuts += 1
            self.other.transport.close()
            self.transport.abort()
            return
        self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._network.forget(self)
        if self.other is not None:
            self.other.transport.close()


class _DeviceEnd(_End):
    """The end that a device connects to."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._task = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop, network = asyncio.get_running_loop(), self._network
        try:
            _, far = await loop.create_connection(lambda: _End(network), HOST, network.target)
        except OSError:
            self.transport.abort()
            return
        self.other, far.other = far, self
        if self.transport.is_closing():
            far.transport.abort()
            return
        network.open.append((self, far))
        if self._early:
            far.transport.write(self._early)


class Network:
    """Passes bytes on between devices and a port of the gateway. `cuts` counts connections broken mid-packet."""

    def __init__(self, target: int, chance: random.Random) -> None:
        self.target = target
        self.cuts = 0
        self.open: list[tuple[_End, _End]] = []
        self._chance = chance

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """The port that devices connect to."""
        server = await asyncio.get_running_loop().create_server(lambda: _DeviceEnd(self), HOST, 0, backlog=4096)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for near, far in list(self.open):
                near.transport.abort()
                far.transport.abort()

    def cut(self, share: float) -> None:
        """Cut this share of the connections in the middle of the next bytes of one side: a message, or its answer."""
        for ends in self.open:
            if self._chance.random() < share:
                self._chance.choice(ends).doomed = True

    def forget(self, end: _End) -> None:
        """A connection is gone."""
        self.open = [ends for ends in self.open if end not in ends]
