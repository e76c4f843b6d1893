"""aiohttp's HTTP protocol with the time-outs and statuses that it lacks: 408, 414, 431."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

MAX_LINE = 4_096
"""Of the request line: a longer one is 414."""
MAX_FIELD = 8_192
"""Of one header field: a longer one is 431."""
MAX_HEADERS = 64
SERVER = "fleetlake"
_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class ConnectionEvents:
    """Called as a connection begins and ends, and with status and source where a request was refused unread."""

    opened: Callable[[], None]
    closed: Callable[[], None]
    refused: Callable[[int, str], None]


class TimedHandler(RequestHandler):
    """One HTTP connection: a request's head has to arrive within the keep-alive time, or is answered 408."""

    def __init__(self, *args: Any, events: ConnectionEvents, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._events = events
        self._is_open = self._begun = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is done."""
        super().connection_made(transport)
        self._is_open = True
        self._events.opened()

    def data_received(self, data: bytes) -> None:
        """Part of a head, or of a body."""
        self._begun = True
        super().data_received(data)
        if self._messages:
            self._begun = False

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is gone."""
        super().connection_lost(exc)
        if self._is_open:
            self._is_open = False
            self._events.closed()

    def _process_keepalive(self) -> None:
        waits = self._waiter is not None and not self._waiter.done()
        is_due = self._loop.time() >= self._next_keepalive_close_time
        if self._begun and waits and is_due and self.transport is not None:
            self._events.refused(408, self._source())
            self.transport.write(_TOO_LATE)
        super()._process_keepalive()

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """The status of what aiohttp's parser refuses, without a page that repeats what was sent."""
        if isinstance(exc, LineTooLong):
            status = 414 if exc.args[1:2] == (MAX_LINE,) else 431
        if status >= 500 and exc is not None:  # noqa: PLR2004
            self.log_exception("gateway.http_failed", exc_info=exc)
        self._events.refused(status, self._source())
        response = web.Response(status=status, text=f"{status}\n", headers={"Server": SERVER})
        response.force_close()
        return response

    def _source(self) -> str:
        peer = self.transport.get_extra_info("peername") if self.transport is not None else None
        return str(peer[0]) if peer else ""


class HttpServer(web.Server):
    """Makes a TimedHandler a connection."""

    def __init__(self, handler: Any, events: ConnectionEvents, **kwargs: Any) -> None:
        super().__init__(handler, **kwargs)
        self._events = events

    def __call__(self) -> RequestHandler:
        """A protocol for a new connection."""
        return TimedHandler(self, loop=self._loop, events=self._events, **self._kwargs)
