"""AWS's event stream (application/vnd.amazon.eventstream): framed messages with checksums in a response without end."""

import struct
from typing import Any, NamedTuple

import aiohttp
from botocore.eventstream import EventStreamBuffer, ParserError

from ingest.kinesis.protocol import StreamUnavailable
from ingest.runtime.aws import Response
from ingest.runtime.clock import Clock

_UNREADABLE = (ParserError, KeyError, ValueError, IndexError, struct.error)
_BROKEN = (aiohttp.ClientError, TimeoutError, OSError)
_REAL_WAIT_S = 0.1
"""A shorter wait may be for bytes that were already in this machine's buffers, and may be old."""


class Message(NamedTuple):
    """One message. kind: `event`, `exception` or `error`; name: its type or AWS's code."""

    kind: str
    name: str
    payload: bytes


class EventMessages:
    """The messages of one response, in order.

    Promises
    - A message is returned whole and with both checksums verified, or not at all. `next` raises StreamUnavailable for
      anything else: broken checksum or header, half a message, a lost connection, silence.
    - `next` may be cancelled while it waits; nothing is lost.
    - What `next` returns was sent after `waited_s` on `clock`, the last time at which nothing had arrived yet.
    """

    def __init__(self, response: Response, clock: Clock) -> None:
        self._response = response
        self._clock = clock
        self._frames: Any = EventStreamBuffer()
        self._half = 0
        self.waited_s = clock.monotonic_s()

    async def next(self) -> Message | None:
        """The next message, or None if the response has ended between two messages."""
        while (message := self._parsed()) is None:
            data = await self._more()
            if not data:
                if self._half:
                    raise StreamUnavailable(f"the event stream ended {self._half} bytes into a message")
                return None
            self._frames.add_data(data)
            self._half += len(data)
        return message

    def close(self) -> None:
        """Close the connection."""
        self._response.close()

    def _parsed(self) -> Message | None:
        try:
            found = next(self._frames, None)
        except _UNREADABLE as error:
            raise StreamUnavailable(f"unreadable event stream: {type(error).__name__}: {error}") from error
        if found is None:
            return None
        self._half -= found.prelude.total_length
        kind = str(found.headers.get(":message-type", "event"))
        name = found.headers.get({"event": ":event-type", "exception": ":exception-type"}.get(kind, ":error-code"), "")
        payload = found.payload or str(found.headers.get(":error-message", "")).encode()
        return Message(kind, str(name), payload)

    async def _more(self) -> bytes:
        """The next bytes; empty at the end."""
        content = self._response.content
        try:
            if data := content.read_nowait():
                return data
            since_s = self._clock.monotonic_s()
            data = await content.readany()
        except _BROKEN as error:
            raise StreamUnavailable(f"the event stream broke: {type(error).__name__}: {error}") from error
        if self._clock.monotonic_s() - since_s >= _REAL_WAIT_S:
            self.waited_s = since_s
        return data
