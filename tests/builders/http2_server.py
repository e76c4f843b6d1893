"""A TLS server that speaks HTTP/2 and HTTP/1.1, as AWS's endpoints do, in front of a plain one of HTTP/1.1."""

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, WindowUpdated
from h2.exceptions import ProtocolError

from tests.builders.kinesis_server import HOST

_READ_BYTES = 1 << 16


class Http2Front:
    """Passes each request on to `upstream`, and its answer back as it comes, never beyond the client's window."""

    def __init__(self, upstream: str) -> None:
        self.requests = self.connections = 0
        self.sent_bytes = 0
        self._upstream = upstream

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: of one request over HTTP/2, or of any over HTTP/1.1."""
        self.connections += 1
        if writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2":
            await self._serve_http2(reader, writer)
            return
        place = urlsplit(self._upstream)
        upstream, towards = await asyncio.open_connection(place.hostname, place.port)
        await asyncio.gather(_piped(reader, towards), _piped(upstream, writer))

    async def _serve_http2(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        answer: asyncio.Task[None] | None = None
        window, headers, body = asyncio.Event(), dict[str, str](), b""
        with suppress(ConnectionError, ProtocolError):
            while True:
                writer.write(connection.data_to_send())
                if not (data := await reader.read(_READ_BYTES)):
                    break
                for event in connection.receive_data(data):
                    if isinstance(event, RequestReceived):
                        headers = {str(name): str(value) for name, value in event.headers or ()}
                    elif isinstance(event, DataReceived):
                        body += event.data or b""
                    elif isinstance(event, WindowUpdated):
                        window.set()
                    elif isinstance(event, StreamEnded):
                        answering = self._answer(connection, writer, window, headers, body)
                        answer = asyncio.create_task(answering)
        if answer is not None:
            answer.cancel()
        writer.close()

    async def _answer(
        self,
        connection: H2Connection,
        writer: asyncio.StreamWriter,
        window: asyncio.Event,
        headers: dict[str, str],
        body: bytes,
    ) -> None:
        self.requests += 1
        passed = {name: value for name, value in headers.items() if not name.startswith(":")}
        with suppress(ConnectionError, aiohttp.ClientError, ProtocolError):
            async with (
                aiohttp.ClientSession() as session,
                session.post(self._upstream, data=body, headers=passed) as got,
            ):
                head = [(":status", str(got.status))]
                head += [(name.lower(), got.headers[name]) for name in ("Date", "Content-Type") if name in got.headers]
                connection.send_headers(1, head)
                async for part in got.content.iter_any():
                    await self._send(connection, writer, window, part)
                connection.end_stream(1)
                writer.write(connection.data_to_send())
                return
        writer.close()

    async def _send(
        self, connection: H2Connection, writer: asyncio.StreamWriter, window: asyncio.Event, part: bytes
    ) -> None:
        while part:
            room = min(connection.local_flow_control_window(1), connection.max_outbound_frame_size, len(part))
            if not room:
                window.clear()
                await window.wait()
                continue
            connection.send_data(1, part[:room])
            part = part[room:]
            self.sent_bytes += room
            writer.write(connection.data_to_send())
            await writer.drain()


async def _piped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(_READ_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def http2_in_front(
    front: Http2Front, folder: Path, *, alpn: tuple[str, ...] = ("h2", "http/1.1")
) -> AsyncIterator[tuple[str, Path]]:
    """The server on a free port: its https URL, and the file of the certificate to trust."""
    certificate, key = _certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(list(alpn))
    server = await asyncio.start_server(front.serve, HOST, 0, ssl=context)
    async with server:
        yield f"https://{HOST}:{server.sockets[0].getsockname()[1]}/", certificate


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return certificate, secret
