"""Enhanced fan-out over HTTP: a registered consumer, and subscriptions that push a shard's records to it."""

import asyncio
from typing import Any, NoReturn

import msgspec

from contracts.errors import FleetlakeError
from contracts.settings import AwsService
from ingest.batch import KinesisRecord, ShardId
from ingest.kinesis.event_stream import EventMessages, Message
from ingest.kinesis.protocol import Records, ShardGone, Start, StreamUnavailable, Throttled
from ingest.kinesis.response import decode_response
from ingest.kinesis.wire import ChildRow, child_shard
from ingest.records import data_bytes
from ingest.runtime.aws import AwsRefused, AwsThrottled, AwsUnanswered, JsonService, server_ms
from ingest.runtime.aws_access import AwsClock
from ingest.runtime.clock import Clock, SystemClock

_SILENCE_S = 20.0
"""Kinesis sends an event every five seconds, even without records."""
_LONGEST_S = 300.0
"""A subscription ends after five minutes, so nothing that it pushed was sent later."""
_LOOK_S = 0.5
_ACTION = "SubscribeToShard"
_TOO_MANY = "LimitExceededException"
_NOT_FOUND = "ResourceNotFoundException"
_IN_USE = "ResourceInUseException"


class SubscriptionInUse(StreamUnavailable):
    """The same consumer subscribed to the shard elsewhere less than five seconds ago, or has just taken over."""

    passing = True


class _Event(msgspec.Struct, rename="pascal"):
    records: list[KinesisRecord]
    continuation_sequence_number: str | None = None
    millis_behind_latest: int | None = 0
    child_shards: list[ChildRow] | None = None


_decode_event = msgspec.json.Decoder(_Event).decode


class _Consumer(msgspec.Struct):
    arn: str = msgspec.field(name="ConsumerARN")
    status: str = msgspec.field(name="ConsumerStatus")


class _Registered(msgspec.Struct):
    consumer: _Consumer = msgspec.field(name="Consumer")


class _Described(msgspec.Struct):
    consumer: _Consumer = msgspec.field(name="ConsumerDescription")


class _StreamSummary(msgspec.Struct):
    arn: str = msgspec.field(name="StreamARN")


class _StreamDescribed(msgspec.Struct):
    stream: _StreamSummary = msgspec.field(name="StreamDescriptionSummary")


class FanOut:
    """One registered consumer of one stream, shared by all workers that name it.

    Promises
    - The consumer is registered at first use, by whichever worker comes first, and never deregistered: others use it.
    - `subscribe` makes one attempt. It raises SubscriptionInUse, Throttled or StreamUnavailable (ask again), ShardGone,
      and FleetlakeError where access is refused or the stream does not exist.
    """

    def __init__(
        self,
        stream: str,
        aws_region: str,
        access: AwsService,
        consumer: str,
        *,
        clock: Clock | None = None,
        aws_clock: AwsClock | None = None,
        compiled: bool = True,
    ) -> None:
        """compiled: whether compiled code reads the records, or msgspec."""
        self.clock = clock or SystemClock()
        self.compiled = compiled
        self._stream = stream
        self._consumer = consumer
        self._arn = ""
        self._registering = asyncio.Lock()
        self._service = JsonService(
            "kinesis", "Kinesis_20131202", aws_region, access, version="1.1", aws_clock=aws_clock
        )

    async def subscribe(self, shard_id: ShardId, start: Start) -> "Subscription":
        """Have the shard push its records from `start` on, for five minutes at most."""
        arn = self._arn or await self._active("")
        position: dict[str, Any] = {"Type": start.kind}
        if start.sequence_number:
            position["SequenceNumber"] = start.sequence_number
        if start.arrival_ms:
            position["Timestamp"] = start.arrival_ms / 1000
        body = msgspec.json.encode({"ConsumerARN": arn, "ShardId": shard_id, "StartingPosition": position})
        try:
            response = await self._service.open(_ACTION, body, silence_s=_SILENCE_S, http2=True)
        except (AwsUnanswered, AwsRefused) as error:
            gone = isinstance(error, AwsRefused) and error.code == _NOT_FOUND
            if gone and await self._active(arn) != arn:
                raise StreamUnavailable(f"consumer {self._consumer} was registered anew") from error
            raise self._explained(error, shard_id) from error
        served_ms = server_ms(response)
        served_ms = self.clock.wall_ms() if served_ms is None else served_ms
        return Subscription(self, shard_id, EventMessages(response, self.clock), served_ms)

    async def close(self) -> None:
        """Close the connections."""
        await self._service.close()

    def explain(self, message: Message, shard_id: ShardId) -> NoReturn:
        """Raise the error that a message other than an event stands for."""
        text = message.payload[:500].decode("utf-8", "replace")
        # Not found may mean that the consumer was just deregistered: subscribing again tells.
        if message.kind == "error" or message.name in {"InternalFailureException", _NOT_FOUND}:
            raise StreamUnavailable(f"stream {self._stream}: {message.name}: {text}")
        raise self._explained(self._service.meant(_ACTION, message.name, f"pushed: {text}"), shard_id)

    async def _active(self, stale: str) -> str:
        """The ARN of the active consumer, looked up again if the known one is `stale`."""
        async with self._registering:
            if self._arn == stale:
                self._arn = await self._registered()
        return self._arn

    async def _registered(self) -> str:
        try:
            summary = await self._ask("DescribeStreamSummary", {"StreamName": self._stream}, _StreamDescribed)
        except AwsRefused as refusal:
            raise self._explained(refusal, "") from refusal
        names = {"StreamARN": summary.stream.arn, "ConsumerName": self._consumer}
        try:
            found = (await self._ask("RegisterStreamConsumer", names, _Registered)).consumer
        except AwsRefused as refusal:  # the name is registered already, or there are 20
            found = await self._known(names, refusal)
        while found.status == "CREATING":
            await self.clock.sleep(_LOOK_S)
            found = await self._known(names)
        if found.status != "ACTIVE":
            raise StreamUnavailable(f"consumer {self._consumer} of stream {self._stream} is {found.status}")
        return str(found.arn)

    async def _known(self, names: dict[str, str], registering: AwsRefused | None = None) -> _Consumer:
        """The consumer as the stream knows it. registering: why it was not registered a moment ago."""
        if registering is not None and registering.code not in {_IN_USE, _TOO_MANY}:
            raise self._explained(registering, "") from registering
        try:
            found: _Consumer = (await self._ask("DescribeStreamConsumer", names, _Described)).consumer
        except AwsRefused as refusal:
            if refusal.code != _NOT_FOUND:
                raise self._explained(refusal, "") from refusal
            if registering is not None and registering.code == _TOO_MANY:
                raise self._explained(registering, "") from registering
            raise StreamUnavailable(f"consumer {self._consumer} of stream {self._stream} was deregistered") from refusal
        return found

    async def _ask(self, action: str, request: dict[str, Any], kind: type[Any]) -> Any:
        try:
            answer = await self._service.call(action, msgspec.json.encode(request))
            return msgspec.json.decode(answer.body, type=kind)
        except msgspec.DecodeError as error:
            raise StreamUnavailable(f"{action}: {error}") from error
        except AwsUnanswered as error:
            raise self._explained(error, "") from error

    def _explained(self, error: FleetlakeError, shard_id: ShardId) -> FleetlakeError:
        if isinstance(error, AwsThrottled):
            return Throttled(str(error))
        if isinstance(error, AwsUnanswered):
            return SubscriptionInUse(str(error)) if error.code == _IN_USE else StreamUnavailable(str(error))
        if isinstance(error, AwsRefused) and error.code == _NOT_FOUND and shard_id:
            return ShardGone(f"stream {self._stream} has no {shard_id}: {error}")
        return FleetlakeError(f"stream {self._stream}: {error}")


class Subscription:
    """One subscription to a shard: it lasts until five minutes have passed, the shard ends, or another takes over."""

    def __init__(self, fan_out: FanOut, shard_id: ShardId, messages: EventMessages, served_ms: int) -> None:
        self.fruitful = False
        """Whether an event has arrived."""
        self._fan_out = fan_out
        self._shard_id = shard_id
        self._messages = messages
        self._served_ms = served_ms
        self._opened_s = messages.waited_s

    async def next(self) -> Records | None:
        """The next event, its `next_iterator` being the sequence number to go on after; None once it has expired."""
        while (message := await self._messages.next()) is not None:
            if message.kind != "event":
                self._fan_out.explain(message, self._shard_id)
            if message.name == "SubscribeToShardEvent":
                self.fruitful = True
                return self._records(message.payload)
        return None

    def close(self) -> None:
        """Close the connection."""
        self._messages.close()

    def _records(self, payload: bytes) -> Records:
        try:
            event, records = decode_response(payload, _decode_event, compiled=self._fan_out.compiled)
        except msgspec.DecodeError as error:
            raise StreamUnavailable(f"a pushed event of {len(payload)} bytes does not decode: {error}") from error
        # The stream's time at the last moment that this event had not come yet: never later than the truth.
        waited_s = self._messages.waited_s - self._opened_s
        open_s = min(self._fan_out.clock.monotonic_s() - self._opened_s, _LONGEST_S)
        return Records(
            records=records,
            next_iterator=event.continuation_sequence_number or None,
            millis_behind_latest=event.millis_behind_latest or 0,
            child_shards=[child_shard(row) for row in event.child_shards or ()],
            response_ms=self._served_ms + int(waited_s * 1000),
            bytes_read=data_bytes(records),
            late_ms=int(max(0.0, open_s - waited_s) * 1000),
        )
