"""A way to the stream that throttles, loses answers, or is away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto

import aiohttp
import msgspec
from aiohttp import web

from bench.gates import serving

_THROTTLED = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded for shard"}
_PUT = "PutRecords"


class Mode(Enum):
    """What becomes of PutRecords; of every request where the stream is away or missing."""

    PASS = auto()
    THROTTLE = auto()
    """A third is refused whole; of a third every other record is said to be refused, though the stream has it."""
    DEAF = auto()
    """The stream has the records, and its answer is lost, two times in three."""
    AWAY = auto()
    """Connections break at once."""
    MISSING = auto()
    """There is no such stream."""


class StreamGate:
    """Stands before Kinesis. Requests are passed on as they are signed."""

    def __init__(self, behind: str) -> None:
        self.mode = Mode.PASS
        self.hurt = 0
        """Requests that were not answered truly."""
        self._behind = behind
        self._turn = 0

    @asynccontextmanager
    async def before(self) -> AsyncIterator[str]:
        """Its URL."""
        async with aiohttp.ClientSession(auto_decompress=False) as self._http, serving("*", self._serve) as url:
            yield url

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except aiohttp.ClientError:  # The stream's process was killed.
            return self._broken(request)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        puts = request.headers.get("X-Amz-Target", "").endswith(_PUT)
        self._turn += puts
        third = self._turn % 3
        if self.mode is Mode.AWAY:
            return self._broken(request)
        if self.mode is Mode.MISSING:
            self.hurt += 1
            return _json({"__type": "ResourceNotFoundException", "message": "Stream not found"}, status=400)
        if not puts or self.mode is Mode.PASS:
            return await self._passed_on(request)
        if self.mode is Mode.DEAF:
            answer = await self._passed_on(request)
            return self._broken(request) if third else answer
        return await self._throttled(request, third)

    async def _throttled(self, request: web.Request, third: int) -> web.StreamResponse:
        if third == 0:
            return await self._passed_on(request)
        self.hurt += 1
        if third == 1:
            records = len(msgspec.json.decode(await request.read())["Records"])
            return _json({"FailedRecordCount": records, "Records": [_THROTTLED] * records})
        answer = msgspec.json.decode((await self._passed_on(request)).body)  # type: ignore[arg-type]
        told = [_THROTTLED if place % 2 == 0 else one for place, one in enumerate(answer.get("Records", ()))]
        return _json(answer | {"FailedRecordCount": (len(told) + 1) // 2, "Records": told})

    async def _passed_on(self, request: web.Request) -> web.Response:
        # The host is signed, so it stays as the sender wrote it.
        async with self._http.post(self._behind, data=await request.read(), headers=request.headers) as answer:
            kept = {name: value for name, value in answer.headers.items() if name in ("Content-Type", "Date")}
            return web.Response(body=await answer.read(), status=answer.status, headers=kept)

    def _broken(self, request: web.Request) -> web.StreamResponse:
        self.hurt += 1
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=503)


def _json(document: object, status: int = 200) -> web.Response:
    body = msgspec.json.encode(document)
    return web.Response(body=body, status=status, content_type="application/x-amz-json-1.1")
