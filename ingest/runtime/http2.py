"""One request over HTTP/2, which SubscribeToShard speaks on AWS: h2 keeps the protocol, asyncio carries.

A connection has one stream, whose flow control makes the server wait while nobody reads.
"""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from multidict import CIMultiDict

_STREAM = 1
_WINDOW = 1024 * 1024
"""Bytes that the server may send ahead of the reader."""
_READ_BYTES = 1 << 16
_ALPN = "h2"


class NoHttp2(ConnectionError):
    """The server speaks HTTP/1.1 only."""


class Http2Response:
    """A response as it comes; `content` is itself, so that it reads as aiohttp's.

    Promises
    - At most _WINDOW bytes are held that nobody has read.
    - A read may be cancelled while it waits; nothing is lost. Failures raise OSError or TimeoutError.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silence_s: float) -> None:
        self.status = 0
        self.headers: CIMultiDict[str] = CIMultiDict()
        self._reader = reader
        self._writer = writer
        self._silence_s = silence_s
        self._connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._held: list[bytes] = []
        self._unacknowledged = 0
        self._ended = False

    @property
    def content(self) -> Self:
        """Where the body is read."""
        return self

    async def request(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """POST, and read the response's head."""
        connection = self._connection
        connection.local_settings = Settings(
            client=True,
            initial_values={SettingCodes.ENABLE_PUSH: 0, SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW},
        )
        connection.initiate_connection()
        connection.increment_flow_control_window(_WINDOW)
        place = urlsplit(url)
        head = [
            (":method", "POST"),
            (":scheme", place.scheme),
            (":authority", place.netloc),
            (":path", place.path or "/"),
        ]
        connection.send_headers(_STREAM, head + [(name.lower(), value) for name, value in headers.items()])
        connection.send_data(_STREAM, body, end_stream=True)
        while not self.status:
            await self._step()

    def read_nowait(self) -> bytes:
        """What has arrived and was not read yet; perhaps nothing."""
        data = b"".join(self._held)
        self._held.clear()
        return data

    async def readany(self) -> bytes:
        """What arrives next; empty at the end."""
        while not self._held and not self._ended:
            await self._step()
        return self.read_nowait()

    async def read(self) -> bytes:
        """The rest of the body."""
        parts = []
        while part := await self.readany():
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _step(self) -> None:
        """Send what is due, and take in what the server sends next."""
        try:
            if self._unacknowledged:
                self._connection.acknowledge_received_data(self._unacknowledged, _STREAM)
                self._unacknowledged = 0
            self._writer.write(self._connection.data_to_send())
            async with asyncio.timeout(self._silence_s):
                await self._writer.drain()
                data = await self._reader.read(_READ_BYTES)
            if not data:
                raise ConnectionError("the server closed the connection within a response")
            for event in self._connection.receive_data(data):
                self._take(event)
        except ProtocolError as error:
            raise ConnectionError(f"HTTP/2: {type(error).__name__}: {error}") from error

    def _take(self, event: Event) -> None:
        if isinstance(event, ResponseReceived):
            self.headers.extend([(str(name), str(value)) for name, value in event.headers or ()])
            self.status = int(self.headers[":status"])
        elif isinstance(event, DataReceived):
            self._unacknowledged += event.flow_controlled_length or 0
            self._held.append(event.data or b"")
        elif isinstance(event, StreamEnded):
            self._ended = True
        elif isinstance(event, StreamReset) or (isinstance(event, ConnectionTerminated) and event.error_code):
            raise ConnectionError(f"HTTP/2: the server ended the stream with error {event.error_code}")


async def post(
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    ca_file: str | None,
    proxy: str | None,
    connect_s: float,
    silence_s: float,
) -> Http2Response:
    """POST to an https URL over a connection of its own: its response, head read, which the caller closes.

    ca_file: whose certificates count; None for this machine's authorities. Raises NoHttp2, OSError or TimeoutError.
    """
    async with asyncio.timeout(connect_s):
        reader, writer = await _connected(url, _trusting(ca_file), proxy)
    response = Http2Response(reader, writer, silence_s)
    try:
        _check_protocol(writer)
        await response.request(url, headers, body)
    except BaseException:
        response.close()
        raise
    return response


def _check_protocol(writer: asyncio.StreamWriter) -> None:
    if writer.get_extra_info("ssl_object").selected_alpn_protocol() != _ALPN:
        raise NoHttp2("the server does not speak HTTP/2")


@cache
def _trusting(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols([_ALPN, "http/1.1"])
    return context


async def _connected(
    url: str, trusted: ssl.SSLContext, proxy: str | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    place = urlsplit(url)
    host, port = place.hostname or "", place.port or 443
    if proxy is None:
        return await asyncio.open_connection(host, port, ssl=trusted, server_hostname=host)
    way = urlsplit(proxy)
    own = ssl.create_default_context() if way.scheme == "https" else None
    reader, writer = await asyncio.open_connection(way.hostname or "", way.port or 80, ssl=own)
    try:
        writer.write(_connect_request(host, port, way.username, way.password))
        _check_connected(await reader.readuntil(b"\r\n\r\n"))
        await writer.start_tls(trusted, server_hostname=host)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        writer.close()
        raise ConnectionError(f"the proxy {way.hostname} does not answer CONNECT") from error
    except BaseException:
        writer.close()
        raise
    return reader, writer


def _check_connected(head: bytes) -> None:
    if head.split(b" ", 2)[1:2] != [b"200"]:
        raise ConnectionError(f"the proxy answered CONNECT with {head.splitlines()[0].decode('latin-1')}")


def _connect_request(host: str, port: int, user: str | None, password: str | None) -> bytes:
    lines = [f"CONNECT {host}:{port} HTTP/1.1", f"Host: {host}:{port}"]
    if user:
        login = b64encode(f"{unquote(user)}:{unquote(password or '')}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {login}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
