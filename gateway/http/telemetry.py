"""POST /v1/telemetry: who sends, what, and the answer once the stream has it. /mqtt is MQTT over a WebSocket."""

import asyncio
import base64
import binascii
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.web_request import BaseRequest

from contracts.names import GZIP, ZSTD
from contracts.packing import MAGICS, BadPacking, UnpackedTooLarge, decompressed
from gateway.connections.gate import Gate
from gateway.connections.mqtt import MqttConnection
from gateway.http import websocket
from gateway.http.protocol import MAX_FIELD, MAX_HEADERS, MAX_LINE, SERVER, ConnectionEvents, HttpServer
from gateway.identity.model import Identity
from gateway.intake.payload import check_record, records_of
from gateway.refusals import Refusal, Refused

PROTOCOL = "http"
PATH = "/v1/telemetry"
TYPES = ("application/json", "application/x-ndjson", "application/octet-stream")
"""Content types of records; curl's default for --data is refused, as its senders mean forms."""
_KIB = 1024
_ACCEPTED, _MIXED = 202, 207


class Telemetry:
    """The handler of every request."""

    def __init__(self, gate: Gate, mqtt: Callable[[], MqttConnection]) -> None:
        """mqtt: makes the connection that a WebSocket carries."""
        self._gate, self._mqtt = gate, mqtt
        self._settings = gate.limits.settings
        self._most = self._settings.body_kib * _KIB

    def server(self) -> HttpServer:
        """The protocol factory of the port."""
        connections = self._gate.metrics.connections.labels(PROTOCOL)

        def closed() -> None:
            connections.dec()
            self._gate.closed()

        return HttpServer(
            self.handle,
            ConnectionEvents(opened=connections.inc, closed=closed, refused=self._unread),
            access_log=None,
            keepalive_timeout=self._settings.request_time_s,
            lingering_time=0,
            auto_decompress=False,
            max_line_size=MAX_LINE,
            max_field_size=MAX_FIELD,
            max_headers=MAX_HEADERS,
        )

    async def handle(self, request: BaseRequest) -> web.StreamResponse:
        """One request's response."""
        if request.path == websocket.PATH:
            return await self._websocket(request)
        if request.path != PATH and not self._gate.shapes.has_path(request.path):
            self._unread(404, str(request.remote or ""))
            return _said(404, "not_found", f"there is {PATH}, for POST")
        if request.method != "POST":
            self._unread(405, str(request.remote or ""))
            return _said(405, "method_not_allowed", f"{request.path} takes POST", Allow="POST")
        try:
            return await self._post(request)
        except Refused as refused:
            return _refused(refused)

    async def _websocket(self, request: BaseRequest) -> web.StreamResponse:
        try:
            return await websocket.serve_websocket(request, self._mqtt, 2 * self._settings.packet_kib * _KIB)
        except web.HTTPBadRequest:
            self._unread(400, str(request.remote or ""))
            return _said(400, "bad_request", f"{request.path} is a WebSocket of the subprotocol mqtt")

    async def _post(self, request: BaseRequest) -> web.StreamResponse:
        with self._noted(None, str(request.remote or "")):
            encoding = _checked_headers(request)
        identity = await self._identify(request)
        try:
            with self._noted(identity):
                body = await self._body(request)
        except TimeoutError:
            self._unread(408, str(request.remote or ""))
            return _said(408, "request_timeout", "the body did not arrive in time", Connection="close")
        wait_s = self._gate.limits.message_wait_s(identity, len(body))
        if wait_s:
            refused = Refused(Refusal.TOO_FAST, f"too fast; send again in {ceil(wait_s)} s")
            self._note(refused, identity)
            return _refused(refused, retry_after_s=wait_s)
        self._gate.metrics.message(PROTOCOL, len(body))
        with self._noted(identity):
            split = self._gate.shapes.of_path(request.path, identity) or records_of
            records = split(_unpacked(body, encoding, self._most))
        return await self._put(identity, records)

    async def _identify(self, request: BaseRequest) -> Identity:
        name, secret = _credential(request.headers.get("Authorization", ""))
        transport = request.transport
        tls: Any = transport.get_extra_info("ssl_object") if transport is not None else None
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        source = str(request.remote or "")
        return await self._gate.identify(
            certificate=certificate, name=name, secret=secret, source=source, protocol=PROTOCOL
        )

    async def _body(self, request: BaseRequest) -> bytes:
        """The body, within its time and size. Raises TimeoutError, Refused."""
        if self._gate.intake.full:
            raise Refused(Refusal.BUSY, "the process holds as much as it may; send again in a second")
        if (request.content_length or 0) > self._most:
            raise Refused(Refusal.TOO_LARGE, f"the body exceeds {self._most} bytes")
        async with asyncio.timeout(self._settings.request_time_s):
            return await self._read(request)

    async def _read(self, request: BaseRequest) -> bytes:
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        body = bytearray()
        while chunk := await request.content.readany():
            body += chunk
            if len(body) > self._most:
                raise Refused(Refusal.TOO_LARGE, f"the body exceeds {self._most} bytes")
        return bytes(body)

    async def _put(self, identity: Identity, records: Sequence[bytes]) -> web.StreamResponse:
        """Put what may be put; the answer says which records were not."""
        good, refused = _checked(records, identity)
        for _, one in refused:
            self._note(one, identity)
        if not good:
            raise refused[0][1]
        await self._on_stream(identity, good)
        listed = [{"index": place, "reason": one.refusal.label, "text": str(one)} for place, one in refused]
        document = {"accepted": len(good), **({"refused": listed} if listed else {})}
        return _json(_MIXED if listed else _ACCEPTED, document)

    async def _on_stream(self, identity: Identity, records: Sequence[bytes]) -> None:
        """Return once the stream has the records. Raises Refused where it will not."""
        done: asyncio.Future[Refused | None] = asyncio.get_running_loop().create_future()

        def answer(refused: Refused | None) -> None:
            if not done.done():
                done.set_result(refused)

        self._gate.intake.put(identity, records, answer)
        refused = await done
        if refused is not None:
            raise refused

    def _unread(self, status: int, source: str) -> None:
        """Count, and say within bounds, that a request was refused before anybody looked at its records."""
        label = f"http_{status}"
        self._gate.metrics.refused.labels(label).inc()
        self._gate.refusals.line("gateway.refused", label, protocol=PROTOCOL, source=source)

    @contextmanager
    def _noted(self, identity: Identity | None, source: str = "") -> Iterator[None]:
        """A refusal of the request within is counted, said, and kept for the device where it is known."""
        try:
            yield
        except Refused as refused:
            device_id = None if identity is None else identity.device_id
            self._gate.refusals.note(refused, PROTOCOL, device_id, source)
            raise

    def _note(self, refused: Refused, identity: Identity) -> None:
        self._gate.refusals.note(refused, PROTOCOL, identity.device_id)


def _checked_headers(request: BaseRequest) -> str:
    """The content encoding. Raises Refused for a type or an encoding that is not taken."""
    if request.headers.get("Content-Type") is not None and request.content_type not in TYPES:
        raise Refused(Refusal.BAD_TYPE, f"the content type is not one of {', '.join(TYPES)}")
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", GZIP, ZSTD):
        raise Refused(Refusal.BAD_TYPE, "the content encoding is neither gzip nor zstd")
    return encoding


def _credential(header: str) -> tuple[str | None, bytes | None]:
    """Device and token of `Bearer DEVICE:TOKEN`, or of Basic authentication."""
    scheme, _, value = header.partition(" ")
    text = value.strip()
    if scheme.lower() == "basic":
        try:
            text = base64.b64decode(text, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None, None
    elif scheme.lower() != "bearer":
        return None, None
    device_id, separator, token = text.rpartition(":")
    return (device_id, token.encode()) if separator else (None, None)


def _unpacked(body: bytes, encoding: str, most: int) -> bytes:
    """The body, decompressed within its bound. Raises Refused."""
    if encoding == "identity":
        return body
    if not body.startswith(MAGICS[encoding]):
        raise Refused(Refusal.BAD_PAYLOAD, f"the body is not {encoding}")
    try:
        return decompressed(body, (encoding,), most)
    except UnpackedTooLarge as error:
        raise Refused(Refusal.TOO_LARGE, f"the body is too large: {error}") from None
    except BadPacking as error:
        raise Refused(Refusal.BAD_PAYLOAD, f"the body does not decompress: {error}") from None


def _checked(records: Sequence[bytes], identity: Identity) -> tuple[list[bytes], list[tuple[int, Refused]]]:
    """The records that may be put, and the others by place, with why not."""
    good: list[bytes] = []
    refused: list[tuple[int, Refused]] = []
    for place, record in enumerate(records):
        try:
            check_record(record, identity)
        except Refused as error:
            refused.append((place, error))
        else:
            good.append(record)
    return good, refused


def _refused(refused: Refused, *, retry_after_s: float = 1.0) -> web.Response:
    status, headers = refused.refusal.status, {}
    if status == 401:  # noqa: PLR2004
        headers["WWW-Authenticate"] = 'Basic realm="fleetlake", Bearer'
    if status in (429, 503):
        headers["Retry-After"] = str(ceil(retry_after_s))
    if status == 413:  # noqa: PLR2004
        headers["Connection"] = "close"
    return _said(status, refused.refusal.label, str(refused), **headers)


def _said(status: int, reason: str, text: str, **headers: str) -> web.Response:
    return _json(status, {"reason": reason, "text": text}, headers)


def _json(status: int, document: dict[str, Any], headers: dict[str, str] | None = None) -> web.Response:
    named = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
    named["Server"] = SERVER
    body = msgspec.json.encode(document)
    return web.Response(status=status, body=body, content_type="application/json", headers=named)
