"""An answer of server-sent events that drops a client which takes nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from typing import Any

from litestar import Response
from litestar.types import ASGIApp, Receive, Scope, Send

_AGAIN = b"retry: 2000\n"
"""For how many milliseconds a browser waits before it connects again."""
_ALIVE = b": \n\n"
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # Proxies must pass each event on at once.
    (b"x-accel-buffering", b"no"),
]


class EventStream(Response[bytes]):
    """Events, until they end or the client goes."""

    def __init__(self, events: AsyncIterator[bytes], held: AbstractContextManager[None], patience_s: float) -> None:
        """held: is entered while the stream is open. patience_s: how long a client may take nothing."""
        super().__init__(b"", media_type="text/event-stream")
        self._events, self._held, self._patience_s = events, held, patience_s
        # Refused before the answer begins, where there are too many.
        held.__enter__()

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIApp:  # type: ignore[override]
        """The stream itself."""
        return self._stream

    async def _stream(self, _: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._held.__exit__(None, None, None)
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": _AGAIN, "more_body": True})
        async for event in self._events:
            async with asyncio.timeout(self._patience_s):
                await send({"type": "http.response.body", "body": event or _ALIVE, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
