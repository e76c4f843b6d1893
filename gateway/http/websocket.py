"""MQTT over a WebSocket (MQTT 3.1.1 and 5, section 6): a bridge between aiohttp's WebSocket and an MQTT connection."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.web_request import BaseRequest

from gateway.connections.mqtt import MqttConnection

PATH = "/mqtt"
SUBPROTOCOL = "mqtt"
MOST_UNREAD = 65_536
"""Bytes of answers that a client has not taken: it is not read until it takes them."""


class WebSocketTransport(asyncio.Transport):
    """What an MQTT connection reads from and writes to: frames of a WebSocket, whose bounds mean nothing (6.0.0-2)."""

    def __init__(self, socket: web.WebSocketResponse, connection: MqttConnection, below: asyncio.Transport) -> None:
        super().__init__()
        self._socket, self._connection, self._below = socket, connection, below
        self._may_read, self._to_write = asyncio.Event(), asyncio.Event()
        self._may_read.set()
        self._unsent = bytearray()
        self._closing = self._paused = False

    async def serve(self) -> None:
        """Carry bytes both ways until either side ends."""
        self._connection.connection_made(self)
        writing = asyncio.create_task(self._send())
        try:
            await self._receive()
        finally:
            self._closing = True
            self._to_write.set()
            with contextlib.suppress(OSError):
                await writing
            self._connection.connection_lost(None)

    async def _receive(self) -> None:
        while not self._closing:
            message = await self._socket.receive()
            if message.type is not WSMsgType.BINARY:
                # Closed, broken off, or text, which is no MQTT (6.0.0-1).
                if message.type is WSMsgType.TEXT:
                    await self._socket.close(code=WSCloseCode.UNSUPPORTED_DATA)
                return
            self._connection.data_received(message.data)
            await self._may_read.wait()

    async def _send(self) -> None:
        """Send what is written until the end, and then close."""
        while True:
            await self._to_write.wait()
            self._to_write.clear()
            ends = self._closing
            while self._unsent:
                data = bytes(self._unsent)
                self._unsent.clear()
                await self._socket.send_bytes(data)
            if self._paused:
                self._paused = False
                self._connection.resume_writing()
            if ends:
                await self._socket.close()
                return

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Of the connection below."""
        return self._below.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send when the client takes it."""
        self._unsent += data
        self._to_write.set()
        if len(self._unsent) > MOST_UNREAD and not self._paused:
            self._paused = True
            self._connection.pause_writing()

    def pause_reading(self) -> None:
        """Take no further frame; aiohttp stops reading the connection below once it holds enough."""
        self._may_read.clear()

    def resume_reading(self) -> None:
        """Take frames again."""
        self._may_read.set()

    def is_closing(self) -> bool:
        """Whether it ends."""
        return self._closing

    def close(self) -> None:
        """End once what was written is sent."""
        self._closing = True
        self._may_read.set()
        self._to_write.set()

    def abort(self) -> None:
        """End now."""
        self._closing = True
        self._below.abort()


async def serve_websocket(
    request: BaseRequest, make: Callable[[], MqttConnection], most_bytes: int
) -> web.StreamResponse:
    """MQTT on a request for a WebSocket. most_bytes: of a frame. Raises HTTPBadRequest where it asks for none."""
    socket = web.WebSocketResponse(
        protocols=(SUBPROTOCOL,), max_msg_size=most_bytes, compress=False, autoclose=True, timeout=2.0
    )
    await socket.prepare(request)
    below = request.transport
    if socket.ws_protocol != SUBPROTOCOL or below is None:
        await socket.close(code=WSCloseCode.PROTOCOL_ERROR, message=b"the subprotocol is mqtt")
        return socket
    await WebSocketTransport(socket, make(), below).serve()
    return socket
