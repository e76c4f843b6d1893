"""S3 behind a door: requests pass to the real server until the keys expire, and are then refused as AWS does it."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from contracts.ports import HOST

_REFUSAL = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
_OF_THE_CONNECTION = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class ExpiringS3:
    """`endpoint` is the door's. The keys expire with the first request that `when` is true of: its method and path."""

    def __init__(self, real: str, when: Callable[[str, str], bool]) -> None:
        self.real, self.when = urlsplit(real), when
        self.expired = False
        self.refused = 0
        self.server = ThreadingHTTPServer((HOST, 0), self._handler())
        self.endpoint = f"http://{HOST}:{self.server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """One request: passed on with its own headers, which its signature covers, or refused."""
        body = _body(request)
        self.expired = self.expired or self.when(request.command, request.path)
        if self.expired:
            self.refused += 1
            self._send(request, 400, [("Content-Type", "application/xml")], _REFUSAL)
            return
        connection = http.client.HTTPConnection(self.real.hostname or HOST, self.real.port, timeout=60)
        connection.putrequest(request.command, request.path, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(body)
        answered = connection.getresponse()
        data = answered.read()
        headers = [(name, value) for name, value in answered.getheaders() if name.lower() not in _OF_THE_CONNECTION]
        length = answered.getheader("Content-Length")
        self._send(request, answered.status, headers, data, length)
        connection.close()

    def _send(
        self,
        request: BaseHTTPRequestHandler,
        status: int,
        headers: list[tuple[str, str]],
        data: bytes,
        length: str | None = None,
    ) -> None:
        request.send_response_only(status)
        for name, value in headers:
            request.send_header(name, value)
        head = request.command == "HEAD"
        request.send_header("Content-Length", (length or "0") if head else str(len(data)))
        request.end_headers()
        if not head:
            request.wfile.write(data)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        def answer(request: BaseHTTPRequestHandler) -> None:
            self.answer(request)

        methods = {f"do_{method}": answer for method in ("GET", "HEAD", "PUT", "POST", "DELETE")}
        return type(
            "Door", (BaseHTTPRequestHandler,), {"protocol_version": "HTTP/1.1", "log_message": _silent, **methods}
        )


def _body(request: BaseHTTPRequestHandler) -> bytes:
    """The body as it was sent, chunks and all."""
    if request.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return request.rfile.read(int(request.headers.get("Content-Length") or 0))
    raw = line = request.rfile.readline()
    while size := int(line.partition(b";")[0], 16):
        raw += request.rfile.read(size + len(b"\r\n"))
        line = request.rfile.readline()
        raw += line
    while line != b"\r\n":  # trailers, up to an empty line
        line = request.rfile.readline()
        raw += line
    return raw


def _silent(*_: object) -> None:
    """No line for each request."""


@contextmanager
def expiring_s3(real: str, when: Callable[[str, str], bool]) -> Iterator[ExpiringS3]:
    """The door, open while inside."""
    door = ExpiringS3(real, when)
    threading.Thread(target=door.server.serve_forever, daemon=True).start()
    try:
        yield door
    finally:
        door.server.shutdown()
        door.server.server_close()
