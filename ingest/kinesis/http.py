"""The stream over HTTP, in JSON: CBOR by cbor2 takes longer than JSON by msgspec, 0.73 to 0.52 us a record."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, TypeVar

import msgspec

from contracts.errors import FleetlakeError
from contracts.settings import AwsService
from ingest.batch import KinesisRecord, ShardId
from ingest.kinesis.protocol import (
    SMALL_ANSWER_BYTES,
    AnswerTooLarge,
    IteratorExpired,
    Records,
    Shard,
    ShardGone,
    Start,
    StreamDescription,
    StreamUnavailable,
    Throttled,
    Turn,
)
from ingest.kinesis.response import decode_response
from ingest.kinesis.wire import ChildRow, HashRange, child_shard
from ingest.records import data_bytes
from ingest.runtime.aws import AwsRefused, AwsThrottled, AwsTooLarge, AwsUnanswered, JsonService
from ingest.runtime.aws_access import AwsClock
from ingest.runtime.clock import Clock, SystemClock
from ingest.runtime.offload import Offload, inline

_T = TypeVar("_T")
_HOUR_MS = 3_600_000
_SHARDS_A_PAGE = 1_000
_LISTS = 3
"""How often the shards are listed from the first page on where a token to go on has expired (after five minutes)."""
_SILENCE_S = 20.0
ANSWERS_IN_HAND = 4
"""Responses of up to 10 MB that are read from their connections and not decoded yet."""
MOST_ANSWER_BYTES = 20_000_000
"""Kinesis gives 10 MiB at most: 14 MB in base64, and some 300 bytes of JSON a record."""


class _TokenExpired(FleetlakeError):
    """The token to list the next page with; listing from the first page gives others."""


class _SequenceRange(msgspec.Struct, rename="pascal"):
    ending_sequence_number: str | None = None


class _Shard(msgspec.Struct, rename="pascal"):
    shard_id: str
    hash_key_range: HashRange
    sequence_number_range: _SequenceRange = msgspec.field(default_factory=_SequenceRange)
    parent_shard_id: str | None = None
    adjacent_parent_shard_id: str | None = None


class _GetRecords(msgspec.Struct, rename="pascal"):
    records: list[KinesisRecord]
    next_shard_iterator: str | None = None
    millis_behind_latest: int | None = 0
    child_shards: list[ChildRow] | None = None


class _ListShards(msgspec.Struct, rename="pascal"):
    shards: list[_Shard]
    next_token: str | None = None


class _Iterator(msgspec.Struct, rename="pascal"):
    shard_iterator: str


class _Summary(msgspec.Struct):
    retention: int = msgspec.field(name="RetentionPeriodHours")
    arn: str = msgspec.field(name="StreamARN")
    created_s: float = msgspec.field(name="StreamCreationTimestamp", default=0.0)


class _DescribeSummary(msgspec.Struct, rename="pascal"):
    stream_description_summary: _Summary


_decode_records = msgspec.json.Decoder(_GetRecords).decode


class HttpStream:
    """A StreamClient of Kinesis, or of any server that speaks its JSON protocol."""

    def __init__(
        self,
        stream: str,
        aws_region: str,
        access: AwsService,
        *,
        clock: Clock | None = None,
        decoding: Offload = inline,
        aws_clock: AwsClock | None = None,
        compiled: bool = True,
    ) -> None:
        """compiled: whether compiled code reads the records, or msgspec."""
        self._stream = stream
        self._compiled = compiled
        self._arn = ""
        self._clock = clock or SystemClock()
        self._service = JsonService(
            "kinesis", "Kinesis_20131202", aws_region, access, version="1.1", aws_clock=aws_clock
        )
        self._decoding = decoding
        self._in_hand = asyncio.Semaphore(ANSWERS_IN_HAND)

    async def describe(self) -> StreamDescription:
        """The stream's retention, time and making."""
        body, server_ms = await self._call("DescribeStreamSummary", {"StreamName": self._stream})
        found = _decoded(body, _DescribeSummary).stream_description_summary
        self._arn = found.arn
        return StreamDescription(found.retention * _HOUR_MS, server_ms or 0, round(found.created_s * 1000))

    async def list_shards(self) -> list[Shard]:
        """All shards that the stream still has, closed ones included."""
        for _ in range(_LISTS):
            with suppress(_TokenExpired):
                return await self._list_shards()
        raise StreamUnavailable(f"stream {self._stream}: the token of each page of ListShards has expired too soon")

    async def _list_shards(self) -> list[Shard]:
        shards: list[Shard] = []
        request: dict[str, Any] = {"StreamName": self._stream, "MaxResults": _SHARDS_A_PAGE}
        while True:
            body, _ = await self._call("ListShards", request)
            page = _decoded(body, _ListShards)
            shards.extend(_shard(row) for row in page.shards)
            if page.next_token is None:
                return shards
            request = {"NextToken": page.next_token, "MaxResults": _SHARDS_A_PAGE}

    async def get_shard_iterator(self, shard_id: ShardId, start: Start) -> str:
        """An iterator; it expires after five minutes."""
        request: dict[str, Any] = {"StreamName": self._stream, "ShardId": shard_id, "ShardIteratorType": start.kind}
        if start.sequence_number:
            request["StartingSequenceNumber"] = start.sequence_number
        if start.arrival_ms:
            request["Timestamp"] = start.arrival_ms / 1000
        body, _ = await self._call("GetShardIterator", request, gone=shard_id)
        return _decoded(body, _Iterator).shard_iterator

    async def get_records(self, iterator: str, limit: int = 10_000, *, turn: Turn | None = None) -> Records:
        """Up to `limit` records, 10 MB at most; AnswerTooLarge where a server that is not Kinesis gives far more."""
        if not self._arn:
            await self.describe()
        asked_ms = self._clock.wall_ms()
        # IAM cannot tell the stream from an iterator; it needs the ARN.
        request = {"ShardIterator": iterator, "Limit": limit, "StreamARN": self._arn}
        with self._explained("its shard"):
            opened = await self._service.open("GetRecords", msgspec.json.encode(request), silence_s=_SILENCE_S)
            # The body stays in the connection until there is a turn to decode it.
            async with opened as response:
                length = int(response.headers.get("Content-Length", SMALL_ANSWER_BYTES + 1))
                if turn is not None and length > SMALL_ANSWER_BYTES:
                    await turn.begin()
                async with self._in_hand:
                    body, server_ms = await self._service.answer("GetRecords", response, most_bytes=MOST_ANSWER_BYTES)
                    # Decoding on the event loop would block every other shard and the writes of live state.
                    answer, records, size = await self._decoding(_decoded_records, body, self._compiled)
        return Records(
            records=records,
            next_iterator=answer.next_shard_iterator or None,
            millis_behind_latest=answer.millis_behind_latest or 0,
            child_shards=[child_shard(row) for row in answer.child_shards or ()],
            response_ms=server_ms if server_ms is not None else asked_ms,
            bytes_read=size,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._service.close()

    async def _call(self, action: str, request: dict[str, Any], *, gone: str = "") -> tuple[bytes, int | None]:
        with self._explained(gone):
            return await self._service.call(action, msgspec.json.encode(request))

    @contextmanager
    def _explained(self, gone: str) -> Iterator[None]:
        try:
            yield
        except AwsThrottled as error:
            raise Throttled(str(error)) from error
        except AwsTooLarge as error:
            raise AnswerTooLarge(str(error)) from error
        except AwsUnanswered as error:
            raise StreamUnavailable(str(error)) from error
        except AwsRefused as refusal:
            self._explain(refusal, gone)

    def _explain(self, refusal: AwsRefused, gone: str) -> NoReturn:
        if refusal.code == "ExpiredIteratorException":
            raise IteratorExpired(str(refusal)) from refusal
        if refusal.code == "ExpiredNextTokenException":
            raise _TokenExpired(str(refusal)) from refusal
        if refusal.code == "ResourceNotFoundException" and gone:
            raise ShardGone(f"stream {self._stream} has no {gone}: {refusal.message}") from refusal
        raise FleetlakeError(f"stream {self._stream}: {refusal}") from refusal


def _decoded_records(body: bytes, compiled: bool) -> tuple[_GetRecords, Sequence[KinesisRecord], int]:
    try:
        answer, records = decode_response(body, _decode_records, compiled=compiled)
    except msgspec.DecodeError as error:
        raise StreamUnavailable(f"GetRecords' body of {len(body)} bytes does not decode: {error}") from error
    return answer, records, data_bytes(records)


def _decoded(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise StreamUnavailable(f"{kind.__name__.strip('_')}: body does not decode: {error}") from error


def _shard(row: _Shard) -> Shard:
    parents = tuple(name for name in (row.parent_shard_id, row.adjacent_parent_shard_id) if name)
    keys = row.hash_key_range
    closed = bool(row.sequence_number_range.ending_sequence_number)
    return Shard(row.shard_id, parents, int(keys.starting_hash_key), int(keys.ending_hash_key), closed)
