"""The in-memory stream served over HTTP as Kinesis' JSON protocol: for clients, fault tests and benchmarks.

`python -m tests.builders.kinesis_server PORT SHARDS [RETENTION_MS]` runs it as a process of its own.
"""

import asyncio
import base64
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

from contracts.errors import FleetlakeError, Misuse
from contracts.settings import AwsService
from ingest.batch import KinesisRecord
from ingest.kinesis import IteratorExpired, Shard, ShardGone, Start, Throttled
from ingest.kinesis.memory import MemoryStream

HOST = "127.0.0.1"
ARN = "arn:aws:kinesis:eu-central-1:000000000000:stream/double"
_MOST_BYTES = 64 * 1024 * 1024
_ERRORS: tuple[tuple[type[Exception], str], ...] = (
    (IteratorExpired, "ExpiredIteratorException"),
    (Throttled, "ProvisionedThroughputExceededException"),
    (ShardGone, "ResourceNotFoundException"),
    (Misuse, "InvalidArgumentException"),
)


def now_ms() -> int:
    """This machine's time."""
    return time.time_ns() // 1_000_000


class KinesisServer:
    """Serves a MemoryStream. `spoil` may answer an action in the server's place: errors, delays, half a body."""

    def __init__(self, stream: MemoryStream) -> None:
        self.stream = stream
        self.calls: list[str] = []
        self.reads: list[tuple[float, str]] = []
        """When each shard was read (seconds of the monotonic clock), oldest first."""
        self.spoil: Callable[[web.Request, str], Any] | None = None
        self._actions: dict[str, Callable[[dict[str, Any]], Any]] = {
            "DescribeStreamSummary": self._describe,
            "ListShards": self._list_shards,
            "GetShardIterator": self._get_shard_iterator,
            "GetRecords": self._get_records,
            "PutRecords": self._put_records,
            "SplitShard": self._split_shard,
            "MergeShards": self._merge_shards,
        }
        self._streams: dict[str, Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]] = {}

    def app(self) -> web.Application:
        """The application, to be run anywhere."""
        app = web.Application(client_max_size=_MOST_BYTES)
        app.router.add_post("/", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        action = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        self.calls.append(action)
        body = await request.read()
        if self.spoil is not None and (answer := await self.spoil(request, action)) is not None:
            return answer
        try:
            wanted = msgspec.json.decode(body or b"{}")
            if action in self._streams:
                return await self._streams[action](request, wanted)
            answer = await self._actions[action](wanted)
        except Refused as error:
            return refusal(error.code, str(error))
        except tuple(kind for kind, _ in _ERRORS) as error:
            code = next(code for kind, code in _ERRORS if isinstance(error, kind))
            return refusal(code, str(error))
        return web.Response(body=msgspec.json.encode(answer), content_type="application/x-amz-json-1.1")

    async def _describe(self, _: dict[str, Any]) -> Any:
        hours = (await self.stream.describe()).retention_ms // 3_600_000
        return {"StreamDescriptionSummary": {"RetentionPeriodHours": hours, "StreamARN": ARN}}

    async def _list_shards(self, _: dict[str, Any]) -> Any:
        return {"Shards": [_shard(shard) for shard in await self.stream.list_shards()]}

    async def _get_shard_iterator(self, body: dict[str, Any]) -> Any:
        sequence = body.get("StartingSequenceNumber", "")
        start = Start(body["ShardIteratorType"], sequence, round(body.get("Timestamp", 0) * 1000))
        return {"ShardIterator": await self.stream.get_shard_iterator(body["ShardId"], start)}

    async def _get_records(self, body: dict[str, Any]) -> Any:
        answer = await self.stream.get_records(body["ShardIterator"], body.get("Limit", 10_000))
        self.reads.append((time.monotonic(), body["ShardIterator"].partition("/")[0]))
        records = [record_json(record) for record in answer.records]
        whole: dict[str, Any] = {"Records": records, "MillisBehindLatest": answer.millis_behind_latest}
        if answer.next_iterator is not None:
            whole["NextShardIterator"] = answer.next_iterator
        if answer.child_shards:
            whole["ChildShards"] = [child_json(child) for child in answer.child_shards]
        return whole

    async def _put_records(self, body: dict[str, Any]) -> Any:
        put = []
        for record in body["Records"]:
            place = record.get("ExplicitHashKey")
            data = base64.b64decode(record["Data"])
            shard, sequence = self.stream.put(
                record["PartitionKey"], data, explicit_hash=None if place is None else int(place)
            )
            put.append({"ShardId": shard, "SequenceNumber": sequence})
        return {"FailedRecordCount": 0, "Records": put}

    async def _split_shard(self, body: dict[str, Any]) -> Any:
        self.stream.split(body["ShardToSplit"], int(body["NewStartingHashKey"]))
        return {}

    async def _merge_shards(self, body: dict[str, Any]) -> Any:
        self.stream.merge(body["ShardToMerge"], body["AdjacentShardToMerge"])
        return {}


class Refused(FleetlakeError):
    """An answer that is a refusal; `code` is AWS's name for it."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def record_json(record: KinesisRecord) -> dict[str, Any]:
    """A record as Kinesis writes it."""
    return {
        "SequenceNumber": record.sequence_number,
        "ApproximateArrivalTimestamp": record.arrival_ms / 1000,
        "Data": record.data,
        "PartitionKey": record.partition_key,
    }


def child_json(child: Shard) -> dict[str, Any]:
    """A child shard as Kinesis writes it."""
    return {"ShardId": child.shard_id, "ParentShards": list(child.parents), "HashKeyRange": _range(child)}


def refusal(code: str, message: str = "", status: int = 400) -> web.Response:
    """An error as Kinesis writes it."""
    body = msgspec.json.encode({"__type": code, "message": message})
    return web.Response(body=body, status=status, content_type="application/x-amz-json-1.1")


def access(url: str) -> AwsService:
    """How a client reaches a server that checks no signatures."""
    return AwsService.model_validate({"endpoint": url, "access_key": "key", "secret_key": "secret"})


@asynccontextmanager
async def served(server: KinesisServer) -> AsyncIterator[str]:
    """The server on a free port of the running loop; gives its URL."""
    runner = web.AppRunner(server.app(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    try:
        yield f"http://{HOST}:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def _shard(shard: Shard) -> dict[str, Any]:
    found: dict[str, Any] = {"ShardId": shard.shard_id, "HashKeyRange": _range(shard)}
    found["SequenceNumberRange"] = {"StartingSequenceNumber": "1"}
    if shard.closed:
        found["SequenceNumberRange"]["EndingSequenceNumber"] = "2"
    for name, parent in zip(("ParentShardId", "AdjacentParentShardId"), shard.parents, strict=False):
        found[name] = parent
    return found


def _range(shard: Shard) -> dict[str, str]:
    return {"StartingHashKey": str(shard.first_hash), "EndingHashKey": str(shard.last_hash)}


async def _serve_for_ever(port: int, shards: int, retention_ms: int) -> None:
    server = KinesisServer(MemoryStream(shards, now_ms=now_ms, retention_ms=retention_ms))
    runner = web.AppRunner(server.app(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    print(f"listening on {port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    _words = [*map(int, sys.argv[1:]), 24 * 3_600_000]
    asyncio.run(_serve_for_ever(_words[0], _words[1], _words[2]))
