"""Requests of every kind at a steady pace, streams that are read, and streams that are not."""

import asyncio
import contextlib
import json
import os
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from contracts.outages import POSTGRES, REDIS, S3
from tests.builders.serving import DAY, Service, devices_of, fleets_of

STREAMS = int(os.environ.get("FLEETLAKE_BENCH_SERVE_STREAMS", "100"))
PAUSE_S = float(os.environ.get("FLEETLAKE_BENCH_SERVE_PAUSE_S", "0.25"))
AT_ONCE = 2
"""So many ask for each kind, again PAUSE_S after each answer."""
_SLOW_EVERY_S = 10.0
_KIND = "urn:fleetlake:problem:store-unavailable"
ACME, ZETA = fleets_of("eu")
_DEVICE = f"/v1/devices/{devices_of(ACME)[0]}"
_SPAN = f"from={DAY:%Y-%m-%d}&to={DAY:%Y-%m-%d}"
KINDS: dict[str, tuple[str, frozenset[str]]] = {
    "live": ("/v1/live?limit=100", frozenset()),
    "box": ("/v1/live?bbox=2,45,9,52&limit=100", frozenset()),
    "near": ("/v1/live?near=48,7&radius_m=200000&limit=20", frozenset()),
    "cells": ("/v1/live/cells?zoom=4", frozenset()),
    "document": ("/v1/openapi.json", frozenset()),
    "page": ("/map/", frozenset()),
    "records": ("/v1/live/records?limit=100", frozenset({REDIS})),
    "device": (_DEVICE, frozenset({REDIS, POSTGRES})),
    "devices": ("/v1/devices?limit=100", frozenset({POSTGRES})),
    "fleets": ("/v1/fleets", frozenset({POSTGRES})),
    "trips": (f"{_DEVICE}/trips?{_SPAN}", frozenset({POSTGRES})),
    "days": (f"/v1/fleets/{ACME}/days?{_SPAN}", frozenset({POSTGRES})),
    "feed": ("/v1/feed", frozenset({POSTGRES})),
    "zones": ("/v1/zones", frozenset({POSTGRES})),
    "trail": (f"{_DEVICE}/trail?{_SPAN}&limit=100", frozenset({POSTGRES, S3})),
    "visits": (f"{_DEVICE}/visits?{_SPAN}", frozenset({POSTGRES, S3})),
}
"""Each kind of request, and the stores that its answer needs."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. Times are of time.monotonic."""

    kind: str
    began_s: float
    ended_s: float
    status: int
    said: str
    """What a problem says, with the headers that it has to have; empty for any other answer."""


@dataclass
class Load:
    """What was asked, and what the streams were told."""

    asked: list[Asked] = field(default_factory=list)
    open: int = 0
    """Streams that are read and were never interrupted."""
    told: int = 0
    """Devices that these were told of."""
    behind: Counter[str] = field(default_factory=Counter)
    slow: int = 0
    """Clients that took nothing of their stream."""

    def of(self, kind: str, since_s: float) -> list[Asked]:
        """Requests of a kind that began then or later, the newest last."""
        found = []
        for one in reversed(self.asked):
            if one.ended_s < since_s:
                break
            if one.kind == kind and one.began_s >= since_s:
                found.append(one)
        return found[::-1]


@asynccontextmanager
async def load_on(service: Service) -> AsyncIterator[Load]:
    """The load, from when every stream is open."""
    load, token = Load(), service.token(ACME, ZETA, "bench")
    headers = {"Authorization": f"Bearer {token}"}
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(service.origin, headers=headers, timeout=timeout) as session:
        tasks = [asyncio.create_task(_ask(load, session, kind)) for kind in KINDS for _ in range(AT_ONCE)]
        tasks += [asyncio.create_task(_follow(load, service, token)) for _ in range(STREAMS)]
        tasks.append(asyncio.create_task(_take_nothing(load, service, token)))
        try:
            deadline = time.monotonic() + 120
            while load.open < STREAMS:
                assert time.monotonic() < deadline, f"{load.open} of {STREAMS} streams are open"
                await asyncio.sleep(0.1)
            yield load
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _ask(load: Load, session: aiohttp.ClientSession, kind: str) -> None:
    path, _ = KINDS[kind]
    while True:
        began_s = time.monotonic()
        try:
            async with session.get(path, headers={"Accept-Encoding": "identity"}) as answer:
                body = await answer.read()
            status, said = answer.status, _said(answer, body)
        except (aiohttp.ClientError, TimeoutError) as error:
            status, said = 0, f"{type(error).__name__}: {error}"
        load.asked.append(Asked(kind, began_s, time.monotonic(), status, said))
        await asyncio.sleep(PAUSE_S)


def _said(answer: aiohttp.ClientResponse, body: bytes) -> str:
    """The detail of a problem, if it is one of a store that is away as the reference describes it."""
    if answer.status == 200:
        return ""
    whole = body.decode(errors="replace")[:300]
    right = answer.content_type == "application/problem+json" and answer.headers.get("Retry-After", "").isdigit()
    if not right:
        return f"not as it should be: {answer.content_type}, {dict(answer.headers)}, {whole}"
    problem: dict[str, Any] = json.loads(body)
    return str(problem["detail"]) if problem["type"] == _KIND else f"another problem: {whole}"


async def _follow(load: Load, service: Service, token: str) -> None:
    """Read a stream. One that ends counts no more as open, and is not opened again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port, limit=2**24)
    try:
        writer.write(_head(token))
        await reader.readuntil(b"event: hello")
        load.open += 1
        event = b""
        while line := await reader.readline():
            if line.startswith(b"event: "):
                event = line[7:].strip()
            elif line.startswith(b"data: ") and event == b"devices":
                load.told += line.count(b'"device_id"')
            elif line.startswith(b"data: ") and event == b"behind":
                load.behind[line[6:].decode().strip()] += 1
        load.open -= 1
    finally:
        writer.close()


async def _take_nothing(load: Load, service: Service, token: str) -> None:
    """One client after the other opens a stream and reads nothing of it; all are held open."""
    with contextlib.ExitStack() as held:
        while True:
            slow = held.enter_context(socket.socket())
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            slow.setblocking(False)
            await asyncio.get_running_loop().sock_connect(slow, ("127.0.0.1", service.port))
            await asyncio.get_running_loop().sock_sendall(slow, _head(token))
            load.slow += 1
            await asyncio.sleep(_SLOW_EVERY_S)


def _head(token: str) -> bytes:
    return f"GET /v1/live/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
