"""What changed, to everyone who watches, at one beat.

A client is a version that it has: at each beat it is sent the rows that changed since, each once. Nothing is queued for
it, so one that is slow costs no memory: it finds a newer version when it comes back. Clients that watch the same and
have the same version share the bytes.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from serving.access.caller import Caller
from serving.access.tokens import Tokens
from serving.live.feed import Feed, entry_of
from serving.live.table import Box

HEART_BEAT_S = 15.0
LATE_S = 5.0
_SHARED = 4_096
_encode = msgspec.json.Encoder().encode


Form = Callable[[bytes, str | None, bytes], bytes]
"""An event's name, id and JSON as they are sent."""


def of_stream(name: bytes, entry: str | None, data: bytes) -> bytes:
    """An event as server-sent events have it."""
    head = b"" if entry is None else b"id: %s\n" % entry.encode()
    return b"%sevent: %s\ndata: %s\n\n" % (head, name, data)


def of_socket(name: bytes, entry: str | None, data: bytes) -> bytes:
    """An event as a message of a WebSocket."""
    head = b"" if entry is None else b'"id":"%s",' % entry.encode()
    return b'{"event":"%s",%s"data":%s}' % (name, head, data)


@dataclass(frozen=True, slots=True)
class Watch:
    """What a client watches, the version that it has, and the form in which it is told."""

    fleets: tuple[str, ...]
    box: Box | None
    since: int
    form: Form = of_stream


@dataclass(slots=True)
class Client:
    """One who watches. What is watched may be changed between two beats."""

    caller: Caller
    watch: Watch


class Pusher:
    """Makes the events of every stream of a process."""

    def __init__(self, feed: Feed, tokens: Tokens, hz: float, draining: asyncio.Event) -> None:
        self._feed, self._tokens, self._beat_s, self._draining = feed, tokens, 1 / hz, draining
        self._made: dict[Watch, tuple[bytes, int]] = {}
        self._made_at = -1
        self._next: asyncio.Future[None] | None = None
        self.patience_s = max(10.0, 10 * self._beat_s)
        """A client that takes nothing for so long is dropped."""
        self.sent = 0
        """Devices in events that were made for clients."""

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await asyncio.sleep(self._beat_s)
            self._wake()

    def end(self) -> None:
        """Wake all who wait: they see that the process drains."""
        self._draining.set()
        self._wake()

    async def events(self, client: Client) -> AsyncIterator[bytes]:
        """Events for one client, until its token ends or the process drains. An empty one only shows that it lives."""
        caller, form = client.caller, client.watch.form
        yield form(b"hello", entry_of(client.watch.since), b"{}")
        said_s, was_behind = time.monotonic(), False
        while not self._draining.is_set() and caller.ends_s > time.time() and not self._is_denied(caller):
            await self._beat()
            behind = self._feed.behind_s > LATE_S
            if behind != was_behind:
                was_behind = behind
                yield form(b"behind", None, b"true" if behind else b"false")
            version = self._feed.version
            body, devices = self._event(client.watch, version)
            client.watch = replace(client.watch, since=version)
            if body:
                self.sent += devices
                said_s = time.monotonic()
                yield body
            elif time.monotonic() - said_s > HEART_BEAT_S:
                said_s = time.monotonic()
                yield b""
        yield form(b"end", None, b"{}")

    def _event(self, watch: Watch, version: int) -> tuple[bytes, int]:
        """What changed between the client's version and this one, and how many devices that is."""
        if version == watch.since:
            return b"", 0
        if version != self._made_at or len(self._made) > _SHARED:
            self._made.clear()
            self._made_at = version
        made = self._made.get(watch)
        if made is None:
            made = self._made[watch] = self._encoded(watch, version)
        return made

    def _encoded(self, watch: Watch, version: int) -> tuple[bytes, int]:
        table = self._feed.table
        rows = table.since(table.view(watch.fleets).rows, watch.since)
        gone = [table.ids[row] for row in rows.tolist() if not table.items[row]]
        if watch.box is not None:
            rows = table.in_box(rows, watch.box)
        items = [table.items[row] for row in np.asarray(rows).tolist() if table.items[row]]
        if not items and not gone:
            return b"", 0
        body = b'{"items":[%s],"gone":%s}' % (b",".join(items), _encode(gone))
        return watch.form(b"devices", entry_of(version), body), len(items)

    def _is_denied(self, caller: Caller) -> bool:
        return caller.token_id in self._tokens.denied

    async def _beat(self) -> None:
        if self._next is None or self._next.done():
            self._next = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._next)

    def _wake(self) -> None:
        if self._next is not None and not self._next.done():
            self._next.set_result(None)
