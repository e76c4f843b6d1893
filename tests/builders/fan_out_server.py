"""The in-memory stream served with enhanced fan-out: consumers, and answers that go on as AWS's event stream."""

import asyncio
import contextlib
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from contracts.errors import FleetlakeError
from ingest.kinesis import Records, Start
from ingest.kinesis.memory import MemoryStream
from tests.builders.kinesis_server import ARN, KinesisServer, Refused, child_json, record_json, refusal

_STRING = 7
_LOOK_S = 0.02


@dataclass
class Timing:
    """What takes five minutes, five seconds and so on with AWS."""

    expires_s: float = 300.0
    apart_s: float = 5.0
    """A second subscription of a shard is refused within this time of the first, and takes over after it."""
    heartbeat_s: float = 5.0
    events: int = 10_000
    """Records of one event at most."""


@dataclass
class _Held:
    since_s: float
    taken_over: asyncio.Event = field(default_factory=asyncio.Event)


class FanOutServer(KinesisServer):
    """A KinesisServer whose shards can be subscribed to. `spoil_frame` may change a frame, or hang up by None."""

    def __init__(self, stream: MemoryStream, timing: Timing | None = None) -> None:
        super().__init__(stream)
        self.timing = timing or Timing()
        self.spoil_frame: Callable[[bytes], bytes | None] | None = None
        self.positions: list[dict[str, Any]] = []
        self.consumers: dict[str, str] = {}
        """The ARN of each registered consumer."""
        self._registrations = 0
        self._creating: set[str] = set()
        self._held: dict[tuple[str, str], _Held] = {}
        self._actions |= {"RegisterStreamConsumer": self._register, "DescribeStreamConsumer": self._describe_consumer}
        self._streams["SubscribeToShard"] = self._subscribe

    async def _register(self, body: dict[str, Any]) -> Any:
        name = body["ConsumerName"]
        if name in self.consumers:
            raise Refused("ResourceInUseException", f"{name} exists")
        self._registrations += 1
        self.consumers[name] = f"{ARN}/consumer/{name}:{self._registrations}"
        self._creating.add(name)
        return {"Consumer": {"ConsumerName": name, "ConsumerARN": self.consumers[name], "ConsumerStatus": "CREATING"}}

    async def _describe_consumer(self, body: dict[str, Any]) -> Any:
        name = body["ConsumerName"]
        status = "CREATING" if name in self._creating else "ACTIVE"
        self._creating.discard(name)
        arn = self.consumers[name]
        return {"ConsumerDescription": {"ConsumerName": name, "ConsumerARN": arn, "ConsumerStatus": status}}

    async def _subscribe(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        position, shard_id = body["StartingPosition"], body["ShardId"]
        if body["ConsumerARN"] not in self.consumers.values():
            return refusal("ResourceNotFoundException", "no such consumer")
        held = self._held.get((body["ConsumerARN"], shard_id))
        if held is not None and time.monotonic() - held.since_s < self.timing.apart_s:
            return refusal("ResourceInUseException", f"{shard_id} was subscribed to a moment ago")
        start = Start(position["Type"], position.get("SequenceNumber", ""), round(position.get("Timestamp", 0) * 1000))
        iterator = await self.stream.get_shard_iterator(shard_id, start)
        if held is not None:
            held.taken_over.set()
        self.positions.append(position)
        self.reads.append((time.monotonic(), shard_id))
        mine = self._held[body["ConsumerARN"], shard_id] = _Held(time.monotonic())
        response = web.StreamResponse(headers={"Content-Type": "application/vnd.amazon.eventstream"})
        with contextlib.suppress(ConnectionError, FleetlakeError):  # a reader may be gone at any moment
            await response.prepare(request)
            await self._push(request, response, iterator, mine)
        return response

    async def _push(self, request: web.Request, response: web.StreamResponse, iterator: str, mine: _Held) -> None:
        await response.write(frame({":message-type": "event", ":event-type": "initial-response"}, b"{}"))
        last, sent_s = "", 0.0
        while time.monotonic() - mine.since_s < self.timing.expires_s:
            if mine.taken_over.is_set():
                await response.write(failure("ResourceInUseException", "another subscription took over"))
                return
            answer = await self.stream.get_records(iterator, self.timing.events)
            iterator = answer.next_iterator or ""
            if answer.records:
                last = answer.records[-1].sequence_number
            if answer.records or not iterator or time.monotonic() - sent_s >= self.timing.heartbeat_s:
                sent_s = time.monotonic()
                if not await self._write(request, response, event(answer, last)):
                    return
            if not iterator:
                return
            if request.transport is None or request.transport.is_closing():
                return
            if not answer.records:
                await asyncio.sleep(_LOOK_S)

    async def _write(self, request: web.Request, response: web.StreamResponse, data: bytes) -> bool:
        whole = data if self.spoil_frame is None else self.spoil_frame(data)
        await response.write(data[: len(data) // 2] if whole is None else whole)
        if whole is None and request.transport is not None:
            request.transport.close()
        return whole is not None


def event(answer: Records, last: str) -> bytes:
    """A SubscribeToShardEvent. An empty shard's place before its first record is a number of its own."""
    body: dict[str, Any] = {
        "Records": [record_json(record) for record in answer.records],
        "MillisBehindLatest": answer.millis_behind_latest,
    }
    if answer.next_iterator is not None:
        body["ContinuationSequenceNumber"] = last or answer.next_iterator.split("/")[1]
    else:
        body["ChildShards"] = [child_json(child) for child in answer.child_shards]
    kind = {":message-type": "event", ":event-type": "SubscribeToShardEvent", ":content-type": "application/json"}
    return frame(kind, msgspec.json.encode(body))


def failure(code: str, text: str) -> bytes:
    """An exception as a message."""
    return frame({":message-type": "exception", ":exception-type": code}, msgspec.json.encode({"message": text}))


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One message: prelude, its checksum, headers, payload, checksum of it all."""
    packed = b"".join(
        bytes([len(name)]) + name.encode() + bytes([_STRING]) + struct.pack(">H", len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + packed + payload
    return body + struct.pack(">I", zlib.crc32(body))
