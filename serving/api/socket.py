"""The live stream over a WebSocket: the same events, and a client may change what it watches without a new connection.

A browser cannot send a header with a WebSocket, and a token in an address ends in logs: the first message has it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import structlog
from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketException

from serving.access.caller import Caller, Role
from serving.api.asking import fleets_of
from serving.api.live import box_of, version_in
from serving.live.push import Client, Watch, of_socket
from serving.parts import Parts
from serving.problems import BadRequest, Forbidden, NotAuthenticated, Problem

FIRST_WITHIN_S = 10.0
MOST_BYTES = 16_384
_DRAINS = 1001
_OWN_CODES = 4_000
"""A problem closes with this and its HTTP status: 4401 without a token, 4429 with too many streams."""
_log = structlog.get_logger(__name__)


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    """What a client sends: its token once, and what it watches as often as it likes."""

    token: str | None = None
    fleet: str | None = None
    bbox: str | None = None
    since: str | None = None


_decode = msgspec.json.Decoder(_Asked).decode
Socket = WebSocket[Any, Any, Any]


@websocket("/live/socket")
async def watch_live(socket: Socket, parts: Parts) -> None:
    """Send events until the client goes, its token ends or the process drains."""
    await socket.accept()
    try:
        await _serve(socket, parts)
        await socket.close(_DRAINS, "end")
    except Problem as problem:
        parts.metrics.refused.labels(problem.kind).inc()
        # What a frame that closes may say is 123 bytes.
        await socket.close(_OWN_CODES + problem.status, problem.detail.encode()[:120].decode(errors="ignore"))
    except WebSocketException:
        # The client is gone.
        return
    except TimeoutError:
        _log.info("serving.socket_slow")


async def _serve(socket: Socket, parts: Parts) -> None:
    try:
        async with asyncio.timeout(FIRST_WITHIN_S):
            asked = await _received(socket)
    except TimeoutError:
        raise NotAuthenticated(f"the first message, with the token, has to come within {FIRST_WITHIN_S:g} s") from None
    if asked.token is None:
        raise NotAuthenticated("the first message has a token")
    caller = await parts.tokens.caller(asked.token)
    parts.rates.take(caller.token_id)
    if caller.role is Role.privacy:
        raise Forbidden("a token of role privacy reads who read what, not the data; ask with one of role viewer")
    watch = Watch(_fleets(caller, asked), box_of(asked.bbox), version_in(parts, asked.since), of_socket)
    client = Client(caller, watch)
    with parts.streams.hold(caller.token_id):
        tasks = [
            asyncio.create_task(_tell(socket, parts, client)),
            asyncio.create_task(_listen(socket, lambda: parts.rates.take(caller.token_id), client)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _tell(socket: Socket, parts: Parts, client: Client) -> None:
    async for event in parts.pusher.events(client):
        # The server pings by itself: an empty event has nothing to say here.
        if event:
            async with asyncio.timeout(parts.pusher.patience_s):
                await socket.send_data(event.decode(), "text")


async def _listen(socket: Socket, take: Callable[[], None], client: Client) -> None:
    """Change what is watched as the client says."""
    while True:
        asked = await _received(socket)
        take()
        if asked.token is not None or asked.since is not None:
            raise BadRequest("token and since stand in the first message alone")
        client.watch = replace(client.watch, fleets=_fleets(client.caller, asked), box=box_of(asked.bbox))


async def _received(socket: Socket) -> _Asked:
    data = await socket.receive_data("text")
    if len(data) > MOST_BYTES:
        raise BadRequest(f"a message has at most {MOST_BYTES:,} bytes")
    try:
        return _decode(data)
    except msgspec.MsgspecError as error:
        raise BadRequest(f"a message is a JSON object of token, fleet, bbox and since: {error}") from None


def _fleets(caller: Caller, asked: _Asked) -> tuple[str, ...]:
    return tuple(fleets_of(caller, asked.fleet))
