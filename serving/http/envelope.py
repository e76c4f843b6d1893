"""Around the whole application: security headers, validators (ETag), compression, and metrics of every answer."""

import time
from collections.abc import Callable, MutableMapping
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from serving.metrics import Metrics

_Message = MutableMapping[str, Any]
_Headers = list[tuple[bytes, bytes]]
_OK = 200
_NOT_MODIFIED = 304
_LEAST_COMPRESSED = 1_024
_ENCODINGS = ("zstd", "gzip")
"""In the order of preference."""
_TEXTS = (b"application/json", b"application/problem+json", b"application/geo+json", b"application/gpx", b"text/")
_TEXTS_TOO = (b"application/jsonl", b"application/vnd.oai")


class Envelope:
    """An ASGI application around another."""

    def __init__(self, app: Any, metrics: Callable[[], Metrics | None], headers: dict[str, str]) -> None:
        """headers: added to every answer that does not set them itself."""
        self._app, self._metrics = app, metrics
        self._added = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, send, self._added)
        began = time.perf_counter()
        try:
            await self._app(scope, receive, answer.send)
        finally:
            metrics = self._metrics()
            if metrics is not None:
                path = scope.get("path_template") or "none"
                metrics.requests.labels(path, str(answer.status)).inc()
                metrics.sent.inc(answer.bytes)
                if not answer.streams:
                    metrics.seconds.labels(path).observe(time.perf_counter() - began)


class _Answer:
    """One answer on its way: one that comes whole is given a validator and compressed."""

    def __init__(self, scope: Any, send: Any, added: _Headers) -> None:
        self._scope, self._send, self._added = scope, send, added
        self._start: _Message | None = None
        self.status = 0
        self.bytes = 0
        self.streams = False

    async def send(self, message: _Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self._start, self.status = message, int(message["status"])
            return
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        body = message.get("body", b"")
        if self._start is not None:
            start, self._start = self._start, None
            self.streams = bool(message.get("more_body"))
            body = await self._begin(start, body)
        self.bytes += len(body)
        await self._send({**message, "body": body})

    async def _begin(self, start: _Message, body: bytes) -> bytes:
        headers: _Headers = list(start["headers"])
        present = {name.lower() for name, _ in headers}
        headers += [(name, value) for name, value in self._added if name not in present]
        status = self.status
        if not self.streams and status == _OK and self._scope["method"] in ("GET", "HEAD"):
            status, headers, body = self._validated(headers, body, present)
        self.status = status
        await self._send({**start, "status": status, "headers": headers})
        return body

    def _validated(self, headers: _Headers, body: bytes, present: set[bytes]) -> tuple[int, _Headers, bytes]:
        if b"etag" not in present:
            headers.append((b"etag", b'W/"%s"' % blake2b(body, digest_size=12).hexdigest().encode()))
        tag = next(value for name, value in headers if name.lower() == b"etag")
        if tag.removeprefix(b"W/") in _tags(self._asked(b"if-none-match")):
            kept = [
                (name, value) for name, value in headers if name.lower() not in (b"content-length", b"content-type")
            ]
            return _NOT_MODIFIED, kept, b""
        if b"content-encoding" not in present and self._scope["method"] == "GET":
            headers, body = self._compressed(headers, body)
        return _OK, headers, body

    def _compressed(self, headers: _Headers, body: bytes) -> tuple[_Headers, bytes]:
        kind = next((value for name, value in headers if name.lower() == b"content-type"), b"")
        if len(body) < _LEAST_COMPRESSED or not kind.startswith((*_TEXTS, *_TEXTS_TOO)):
            return headers, body
        headers.append((b"vary", b"accept-encoding"))
        taken = self._asked(b"accept-encoding").decode("latin-1")
        encoding = next((name for name in _ENCODINGS if name in taken), None)
        if encoding is None:
            return headers, body
        packed: bytes = pa.Codec(encoding, compression_level=3).compress(body, asbytes=True)
        kept = [(name, value) for name, value in headers if name.lower() != b"content-length"]
        return [*kept, (b"content-length", b"%d" % len(packed)), (b"content-encoding", encoding.encode())], packed

    def _asked(self, name: bytes) -> bytes:
        return b", ".join(value for key, value in self._scope["headers"] if key == name)


def _tags(header: bytes) -> set[bytes]:
    return {one.strip().removeprefix(b"W/") for one in header.split(b",")}
