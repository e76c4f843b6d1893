"""Puts records on a stream with PutRecords."""

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from contracts.errors import SinkUnavailable
from contracts.settings import AwsService
from ingest.runtime.aws import AwsRefused, AwsThrottled, AwsUnanswered, JsonService
from ingest.runtime.retry import Backoff

MOST_RECORDS = 500
MOST_BYTES = 4 * 1024 * 1024
"""Of one request; Kinesis takes 5 MiB, partition keys included."""
_TRIES = 8
_PAUSES = Backoff(0.2, 12.8)
_BUSY = {"ProvisionedThroughputExceededException", "InternalFailure", "KMSThrottlingException", "ThrottlingException"}


class Outgoing(NamedTuple):
    """A record to put; `hash_key` decides the shard."""

    partition_key: str
    hash_key: int
    data: bytes


class Placed(NamedTuple):
    """The position at which a record was put."""

    shard_id: str
    sequence_number: str


class RecordWriter(Protocol):
    """Puts records on a stream.

    Promises
    - `put` returns, for each record in order, its position, or None if the stream refuses the record itself, however
      often it is tried.
    - Raises SinkUnavailable if the stream does not answer or is busy for long; any of the records may then be on it.
    """

    async def put(self, records: Sequence[Outgoing]) -> list[Placed | None]: ...


class _Result(msgspec.Struct, rename="pascal"):
    shard_id: str | None = None
    sequence_number: str | None = None
    error_code: str | None = None


class _Answer(msgspec.Struct, rename="pascal"):
    records: list[_Result]


class KinesisWriter:
    """A RecordWriter for Kinesis."""

    def __init__(self, stream: str, aws_region: str, access: AwsService) -> None:
        self._stream = stream
        self._service = JsonService("kinesis", "Kinesis_20131202", aws_region, access, version="1.1")

    async def put(self, records: Sequence[Outgoing]) -> list[Placed | None]:
        """Put at most MOST_RECORDS and MOST_BYTES; throttled records are retried with growing pauses."""
        placed: dict[int, Placed | None] = {}
        for attempt in range(_TRIES):
            left = [place for place in range(len(records)) if place not in placed]
            if not left:
                break
            if attempt:
                await asyncio.sleep(_PAUSES.after_s(attempt))
            placed |= await self._attempt({place: records[place] for place in left})
        if len(placed) < len(records):
            raise SinkUnavailable(f"stream {self._stream} is busy: it takes no more records just now; run this again")
        return [placed[place] for place in range(len(records))]

    async def close(self) -> None:
        """Close the connections."""
        await self._service.close()

    async def _attempt(self, records: dict[int, Outgoing]) -> dict[int, Placed | None]:
        """Results by place; records that may be retried are left out."""
        body = msgspec.json.encode({"StreamName": self._stream, "Records": [_row(one) for one in records.values()]})
        try:
            answer = msgspec.json.decode((await self._service.call("PutRecords", body)).body, type=_Answer)
        except AwsThrottled:
            return {}
        except AwsRefused as refusal:
            if refusal.code not in {"ValidationException", "InvalidArgumentException"}:
                raise SinkUnavailable(f"stream {self._stream} takes no records: {refusal}") from refusal
            if len(records) == 1:
                return dict.fromkeys(records)
            return await self._one_by_one(records)
        except (AwsUnanswered, msgspec.DecodeError) as error:
            raise SinkUnavailable(f"stream {self._stream} does not answer: {error}; run this again") from error
        return {
            place: Placed(result.shard_id or "", result.sequence_number or "") if not result.error_code else None
            for place, result in zip(records, answer.records, strict=True)
            if result.error_code not in _BUSY
        }

    async def _one_by_one(self, records: dict[int, Outgoing]) -> dict[int, Placed | None]:
        found: dict[int, Placed | None] = {}
        for place, record in records.items():
            found |= await self._attempt({place: record})
        return found


def _row(record: Outgoing) -> dict[str, str]:
    return {
        "Data": b64encode(record.data).decode(),
        "PartitionKey": record.partition_key,
        "ExplicitHashKey": str(record.hash_key),
    }
