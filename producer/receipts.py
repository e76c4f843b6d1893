"""Puts records from an event loop and says of each whether the stream has it: the gateway's way onto the stream."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from contracts import kpl
from contracts.errors import FleetlakeError, StoreUnavailable
from contracts.names import stream as stream_name
from contracts.settings import RegionSettings
from producer.aggregator import Entry, Limits
from producer.producer import MAX_LANES_AT_ONCE
from producer.put import PutAttempt, explain, put_once
from producer.shards import ShardMap, list_shards

Receipt = Callable[[FleetlakeError | None], None]
"""Called on the event loop once the stream has all records of a message (None), or will not have them (why)."""


@dataclass(frozen=True, slots=True)
class ReceiptRules:
    """linger_s: the longest time that a message waits for others, where its shard is idle.
    give_up_s: after so long without an accepted record a shard's messages are refused.
    """

    linger_s: float = 0.05
    give_up_s: float = 20.0
    first_wait_s: float = 0.05
    longest_wait_s: float = 2.0


@dataclass(slots=True, eq=False)
class _Message:
    """Records that are answered together, all of one partition key."""

    key: str
    records: Sequence[bytes]
    receipt: Receipt
    size: int


@dataclass(slots=True, eq=False)
class _Packed:
    """An entry of a call, and the messages that lie in it whole."""

    entry: Entry
    messages: list[_Message]


@dataclass(slots=True, eq=False)
class _Lane:
    """One shard's messages in order; a task drains them while there are any."""

    waiting: deque[_Message] = field(default_factory=deque)
    waiting_bytes: int = 0
    full: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None
    after: "list[asyncio.Task[None]]" = field(default_factory=list)
    """Tasks of shards that are gone, which have to end first."""


class _Call:
    """Collects messages into the entries of one call, in order."""

    def __init__(self, limits: Limits, tag: tuple[str, str] | None) -> None:
        self._limits = limits
        self._tag = tag
        self._entries: list[_Packed] = []
        self._keys: set[str] = set()
        """Keys of the entries that are made: a key lies in one entry, so that a refused entry breaks no order."""
        self._open: list[_Message] = []
        self._records = self._bytes = self._call_bytes = 0

    def add(self, message: _Message) -> bool:
        """Take the message, or say that the call ends before it."""
        limits = self._limits
        if self._call_bytes and self._call_bytes + message.size > limits.call_bytes:
            return False
        bytes_, records = self._bytes + message.size, self._records + len(message.records)
        if self._open and (bytes_ > limits.aggregate_bytes or records > limits.aggregate_records):
            self._seal()
        if message.key in self._keys or len(self._entries) >= limits.call_records:
            return False
        self._open.append(message)
        self._records += len(message.records)
        self._bytes += message.size
        self._call_bytes += message.size
        return True

    def end(self) -> list[_Packed]:
        """The entries."""
        self._seal()
        return self._entries

    def _seal(self) -> None:
        if self._open:
            pairs = [(message.key, data) for message in self._open for data in message.records]
            entry = Entry(self._open[0].key, kpl.aggregate(pairs, self._tag), self._records)
            self._entries.append(_Packed(entry, self._open))
            self._keys.update(message.key for message in self._open)
            self._open, self._records, self._bytes = [], 0, 0


@dataclass(slots=True)
class PutCounts:
    """What was put. `refused` are messages that were answered with an error."""

    messages: int = 0
    records: int = 0
    calls: int = 0
    throttled: int = 0
    failed_calls: int = 0
    refused: int = 0


class ReceiptProducer:
    """Puts user records on one stream, framed as KPL aggregates that carry `tag`.

    Promises
    - A receipt without an error is given only after PutRecords returned a sequence number for every record of the
      message. A receipt is given exactly once, with an error where the stream took nothing for `give_up_s` or refuses
      for good. A message that was refused may be on the stream nevertheless.
    - Messages of one key reach the stream in the order of `put`, whatever is throttled: a lane (a shard) has one call
      in flight, and no call has a key in two entries.
    - `held_bytes` counts what is not answered yet. The caller bounds it: `put` never blocks.
    """

    def __init__(
        self,
        client: Any,
        stream: str,
        tag: tuple[str, str] | None = None,
        *,
        limits: Limits | None = None,
        rules: ReceiptRules | None = None,
    ) -> None:
        """Read the stream's shards. Raises StoreUnavailable where Kinesis does not answer or has no such stream."""
        self.counts = PutCounts()
        self.held_bytes = 0
        self.down_since: float | None = None
        """The loop's time since when calls fail; None while they work."""
        self._client = client
        self._stream = stream
        self._tag = tag
        self._limits = limits or Limits()
        self._rules = rules or ReceiptRules()
        self._shards = _shards_of(client, stream)
        self._lanes = {shard_id: _Lane() for shard_id in self._shards.shard_ids}
        self._pool = ThreadPoolExecutor(min(len(self._lanes), MAX_LANES_AT_ONCE), thread_name_prefix="put")
        self._jitter = random.Random()  # noqa: S311

    @classmethod
    def open(cls, settings: RegionSettings, tag: tuple[str, str], rules: ReceiptRules) -> Self:
        """A producer for the region's stream."""
        config = Config(
            connect_timeout=5,
            read_timeout=max(1.0, min(15.0, rules.give_up_s)),
            retries={"total_max_attempts": 1},
            max_pool_connections=MAX_LANES_AT_ONCE,
            parameter_validation=False,
        )
        client = boto3.client("kinesis", config=config, **settings.kinesis.client_kwargs(settings.row.aws_region))
        return cls(client, stream_name(settings.region), tag, rules=rules)

    def put(self, key: str, records: Sequence[bytes], receipt: Receipt) -> None:
        """Take a message of one or more records. Call it on the event loop; records fit one aggregate together."""
        message = _Message(key, records, receipt, sum(map(len, records)))
        self.held_bytes += message.size
        self._enqueue(message)

    async def drain(self) -> None:
        """Wait until every message is answered."""
        while tasks := [lane.task for lane in self._lanes.values() if lane.task is not None]:
            for lane in self._lanes.values():
                lane.full.set()
            await asyncio.wait(tasks)

    def close(self) -> None:
        """Let go of threads and connections."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _enqueue(self, message: _Message) -> None:
        lane = self._lanes[self._shards.shard_ids[self._shards.index_of(message.key)]]
        lane.waiting.append(message)
        lane.waiting_bytes += message.size
        if lane.waiting_bytes >= self._limits.call_bytes:
            lane.full.set()
        if lane.task is None:
            lane.task = asyncio.get_running_loop().create_task(self._run(lane))

    async def _run(self, lane: _Lane) -> None:
        """Drain a lane: linger once, then call after call."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._rules.linger_s):
                await lane.full.wait()
        if lane.after:
            await asyncio.wait(lane.after)
            lane.after.clear()
        try:
            while lane.waiting:
                lane.full.clear()
                if await self._put_call(lane, self._next_call(lane)):
                    await self._follow_shards()
        finally:
            lane.task = None

    def _next_call(self, lane: _Lane) -> list[_Packed]:
        """Take messages for one call."""
        call = _Call(self._limits, self._tag)
        while lane.waiting and call.add(lane.waiting[0]):
            lane.waiting_bytes -= lane.waiting.popleft().size
        return call.end()

    async def _put_call(self, lane: _Lane, call: list[_Packed]) -> bool:
        """Put a call's entries, as often as it takes, and answer each entry's messages once it is accepted.

        Returns whether a record went to a shard that is not the lane's.
        """
        loop = asyncio.get_running_loop()
        progress, failures, moved = loop.time(), 0, False
        try:
            while call:
                entries = [packed.entry for packed in call]
                attempt = await loop.run_in_executor(self._pool, put_once, self._client, self._stream, entries)
                self._count(attempt, loop.time())
                moved |= any(self._lanes.get(shard_id) is not lane for shard_id in attempt.shard_ids)
                accepted, call = _split(call, attempt.left)
                self._accept(accepted)
                if attempt.fatal is not None:
                    refused, call = call, []
                    self._refuse(refused, attempt.fatal)
                elif accepted:
                    progress, failures = loop.time(), 0
                elif loop.time() - progress >= self._rules.give_up_s:
                    refused, call = call, []
                    self._give_up(lane, refused, attempt.why)
                if call:
                    failures += 1
                    await asyncio.sleep(self._pause_s(failures))
        finally:
            # Where this task is cancelled or fails, nobody waits for ever.
            self._refuse(call, StoreUnavailable(f"putting on {self._stream} ended; send again"))
        return moved

    def _pause_s(self, failures: int) -> float:
        longest = min(self._rules.longest_wait_s, self._rules.first_wait_s * 2.0 ** min(failures, 10))
        return self._jitter.uniform(0.5, 1.0) * longest

    def _count(self, attempt: PutAttempt, now: float) -> None:
        self.counts.calls += 1
        self.counts.throttled += attempt.throttled
        self.counts.failed_calls += attempt.failed
        if not attempt.failed:
            self.down_since = None
        elif self.down_since is None:
            self.down_since = now

    def _accept(self, accepted: list[_Packed]) -> None:
        for packed in accepted:
            self.counts.records += packed.entry.user_records
            self.counts.messages += len(packed.messages)
            for message in packed.messages:
                self._answer(message, None)

    def _refuse(self, call: list[_Packed], error: FleetlakeError) -> None:
        for packed in call:
            for message in packed.messages:
                self.counts.refused += 1
                self._answer(message, error)

    def _give_up(self, lane: _Lane, call: list[_Packed], why: str) -> None:
        """Refuse the call and all that waits behind it: it waited as long, or will."""
        error = StoreUnavailable(f"{self._stream} took nothing for {self._rules.give_up_s:.0f} s ({why}); send again")
        self._refuse(call, error)
        while lane.waiting:
            message = lane.waiting.popleft()
            lane.waiting_bytes -= message.size
            self.counts.refused += 1
            self._answer(message, error)

    def _answer(self, message: _Message, error: FleetlakeError | None) -> None:
        self.held_bytes -= message.size
        message.receipt(error)

    async def _follow_shards(self) -> None:
        """Read the shards again, after a record went to one that was not the lane's: the stream was resharded.

        What waits is sorted into the new lanes in its order. A lane of a new shard begins once the calls of the shards
        that are gone are answered: one of its keys may lie in them.
        """
        loop = asyncio.get_running_loop()
        try:
            shards = await loop.run_in_executor(self._pool, _shards_of, self._client, self._stream)
        except FleetlakeError:
            return
        if set(shards.shard_ids) == set(self._lanes):
            return
        before, own = self._lanes, asyncio.current_task()
        gone = [lane for shard_id, lane in before.items() if shard_id not in shards.shard_ids]
        after = [lane.task for lane in gone if lane.task is not None and lane.task is not own]
        self._shards = shards
        self._lanes = {shard_id: before.get(shard_id) or _Lane(after=list(after)) for shard_id in shards.shard_ids}
        for lane in gone:
            waiting, lane.waiting, lane.waiting_bytes = lane.waiting, deque(), 0
            for message in waiting:
                self._enqueue(message)


def _split(call: list[_Packed], left: Sequence[Entry]) -> tuple[list[_Packed], list[_Packed]]:
    """What of a call was accepted, and what is left, in order."""
    if not left:
        return call, []
    remaining = set(map(id, left))
    accepted = [packed for packed in call if id(packed.entry) not in remaining]
    return accepted, [packed for packed in call if id(packed.entry) in remaining]


def _shards_of(client: Any, stream: str) -> ShardMap:
    try:
        return list_shards(client, stream)
    except ClientError as error:
        raise explain(error, stream) from None
    except BotoCoreError as error:
        raise StoreUnavailable(f"Kinesis does not answer for {stream} ({type(error).__name__})") from None
