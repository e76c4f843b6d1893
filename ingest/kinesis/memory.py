"""An in-memory stream that behaves like Kinesis at splits, merges, trims, expiry and throttling."""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import md5

from contracts.errors import Misuse
from ingest.batch import KinesisRecord, ShardId
from ingest.kinesis.protocol import (
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

HASHES = 2**128
MAX_ANSWER_BYTES = 10 * 1024 * 1024
ITERATOR_TTL_MS = 300_000
READS_PER_S = 5
BYTES_PER_MS = 2_000
_FIRST_SEQUENCE = 49_590_338_271_490_256_608_559_692_538_361_571_095_921_575_989_136_588_898
_SEQUENCE_STEP = 1_208_925_819_614_629_174_706_176
"""2**80: consecutive sequence numbers are far apart, and no arithmetic on them may assume otherwise."""


@dataclass(slots=True)
class _ShardLog:
    shard_id: ShardId
    parents: tuple[ShardId, ...]
    first_hash: int
    last_hash: int
    born_after: int
    closed_ms: int | None = None
    children: list[ShardId] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)
    records: list[KinesisRecord] = field(default_factory=list)
    reads_ms: list[int] = field(default_factory=list)
    quiet_until_ms: int = 0

    @property
    def shard(self) -> Shard:
        return Shard(self.shard_id, self.parents, self.first_hash, self.last_hash, self.closed_ms is not None)


class MemoryStream:
    """A StreamClient and the stream behind it; several clients may share one by sharing the object.

    now_ms: the stream's clock, in epoch milliseconds. throttle: refuse more than 5 reads or 2 MB a second and shard.
    hollow_every: every n-th read returns no records although some are left, as Kinesis may; 0 is never.
    """

    def __init__(
        self,
        shards: int = 1,
        *,
        now_ms: Callable[[], int],
        retention_ms: int = 24 * 3_600_000,
        throttle: bool = False,
        hollow_every: int = 0,
    ) -> None:
        self._now_ms = now_ms
        self._retention_ms = retention_ms
        self.created_ms = now_ms()
        self._throttle = throttle
        self._hollow_every = hollow_every
        self._reads = 0
        self._sequence = _FIRST_SEQUENCE
        self._logs: dict[ShardId, _ShardLog] = {}
        self._born = 0
        for index in range(shards):
            self._bear((), index * HASHES // shards, (index + 1) * HASHES // shards - 1)

    # The stream's side.

    def put(self, partition_key: str, data: bytes, *, explicit_hash: int | None = None) -> tuple[ShardId, str]:
        """Append a record to the open shard of its key's hash; gives the shard and the sequence number."""
        place = _hash_of(partition_key) if explicit_hash is None else explicit_hash
        log = next(log for log in self._open() if log.first_hash <= place <= log.last_hash)
        self._sequence += _SEQUENCE_STEP
        sequence_number = str(self._sequence)
        log.sequences.append(self._sequence)
        log.records.append(KinesisRecord.at(self._now_ms(), sequence_number, partition_key, data))
        return log.shard_id, sequence_number

    def split(self, shard_id: ShardId, at_hash: int | None = None) -> list[ShardId]:
        """Close a shard and open two that share its range, the second from `at_hash` (its middle)."""
        log = self._log(shard_id)
        middle = (log.first_hash + log.last_hash) // 2 + 1 if at_hash is None else at_hash
        if log.closed_ms is not None or not log.first_hash < middle <= log.last_hash:
            raise Misuse(f"{shard_id} cannot be split at {middle}: it is closed, or the hash is not within it")
        ranges = ((log.first_hash, middle - 1), (middle, log.last_hash))
        return self._replace((log,), ranges)

    def merge(self, shard_id: ShardId, adjacent_id: ShardId) -> ShardId:
        """Close two neighbours and open one over both ranges."""
        one, other = sorted((self._log(shard_id), self._log(adjacent_id)), key=lambda log: log.first_hash)
        if one.last_hash + 1 != other.first_hash or one.closed_ms is not None or other.closed_ms is not None:
            raise Misuse(f"{shard_id} and {adjacent_id} cannot be merged: they are closed, or not adjacent")
        return self._replace((one, other), ((one.first_hash, other.last_hash),))[0]

    def open_shards(self) -> list[ShardId]:
        """Shards that take records."""
        return [log.shard_id for log in self._open()]

    def everything(self, shard_id: ShardId) -> list[KinesisRecord]:
        """What the shard still holds."""
        self._trim()
        return list(self._log(shard_id).records)

    # The reader's side: StreamClient.

    async def describe(self) -> StreamDescription:
        """The stream's retention, time and making."""
        await asyncio.sleep(0)
        return StreamDescription(self._retention_ms, self._now_ms(), self.created_ms)

    async def list_shards(self) -> list[Shard]:
        """All shards, closed ones until their records are trimmed."""
        await asyncio.sleep(0)
        self._trim()
        return [log.shard for log in self._logs.values()]

    async def get_shard_iterator(self, shard_id: ShardId, start: Start) -> str:
        """An iterator from `start`."""
        await asyncio.sleep(0)
        self._trim()
        log = self._log(shard_id)
        return self._iterator(log, self._after(log, start))

    async def get_records(self, iterator: str, limit: int = 10_000, *, turn: Turn | None = None) -> Records:
        """Records after the iterator's place, at most `limit` and 10 MB."""
        await asyncio.sleep(0)
        self._trim()
        log, after = self._parse(iterator)
        if self._throttle:
            self._allow(log)
        self._reads += 1
        place = bisect_right(log.sequences, after)
        left = len(log.records) - place
        hollow = left > 0 and self._hollow_every > 0 and self._reads % self._hollow_every == 0
        taken: list[KinesisRecord] = []
        size = 0
        for record in [] if hollow else log.records[place : place + limit]:
            size += len(record.data) + len(record.partition_key)
            if taken and size > MAX_ANSWER_BYTES:
                break
            taken.append(record)
        log.quiet_until_ms = self._now_ms() + size // BYTES_PER_MS
        return self._answer(log, after, taken, left - len(taken), size)

    async def close(self) -> None:
        """Nothing to close; the stream lives on."""

    def _answer(self, log: _ShardLog, after: int, taken: list[KinesisRecord], left: int, size: int) -> Records:
        now_ms = self._now_ms()
        ended = log.closed_ms is not None and left == 0
        behind = now_ms - log.records[len(log.records) - left].arrival_ms if left else 0
        return Records(
            records=taken,
            next_iterator=None if ended else self._iterator(log, int(taken[-1].sequence_number) if taken else after),
            millis_behind_latest=max(1, behind) if left else 0,
            child_shards=[self._logs[child].shard for child in log.children if child in self._logs] if ended else [],
            response_ms=now_ms,
            bytes_read=size,
        )

    def _after(self, log: _ShardLog, start: Start) -> int:
        newest = log.sequences[-1] if log.sequences else log.born_after
        if start.kind == "TRIM_HORIZON":
            return log.born_after
        if start.kind == "LATEST":
            return newest
        if start.kind == "AT_TIMESTAMP":
            place = bisect_left(log.records, start.arrival_ms, key=lambda record: record.arrival_ms)
            return log.sequences[place] - 1 if place < len(log.sequences) else newest
        if start.kind == "AT_SEQUENCE_NUMBER":
            return int(start.sequence_number) - 1
        return int(start.sequence_number)

    def _iterator(self, log: _ShardLog, after: int) -> str:
        return f"{log.shard_id}/{after}/{self._now_ms()}"

    def _parse(self, iterator: str) -> tuple[_ShardLog, int]:
        try:
            shard_id, after, made_ms = iterator.split("/")
            age_ms = self._now_ms() - int(made_ms)
        except ValueError:
            raise StreamUnavailable(f"{iterator!r} is not an iterator of this stream") from None
        if age_ms > ITERATOR_TTL_MS:
            raise IteratorExpired(f"iterator of {shard_id} is {age_ms} ms old")
        return self._log(shard_id), int(after)

    def _allow(self, log: _ShardLog) -> None:
        now_ms = self._now_ms()
        log.reads_ms = [read for read in log.reads_ms if now_ms - read < 1_000]  # noqa: PLR2004
        if len(log.reads_ms) >= READS_PER_S or now_ms < log.quiet_until_ms:
            raise Throttled(f"{log.shard_id}: more than {READS_PER_S} reads or 2 MB a second")
        log.reads_ms.append(now_ms)

    def _trim(self) -> None:
        horizon_ms = self._now_ms() - self._retention_ms
        for shard_id, log in list(self._logs.items()):
            kept = bisect_left(log.records, horizon_ms, key=lambda record: record.arrival_ms)
            if kept:
                del log.records[:kept], log.sequences[:kept]
            if log.closed_ms is not None and log.closed_ms < horizon_ms and not log.records:
                del self._logs[shard_id]

    def _replace(self, parents: tuple[_ShardLog, ...], ranges: tuple[tuple[int, int], ...]) -> list[ShardId]:
        for parent in parents:
            parent.closed_ms = self._now_ms()
        names = tuple(parent.shard_id for parent in parents)
        children = [self._bear(names, first, last) for first, last in ranges]
        for parent in parents:
            parent.children = children
        return children

    def _bear(self, parents: tuple[ShardId, ...], first_hash: int, last_hash: int) -> ShardId:
        shard_id = f"shardId-{self._born:012d}"
        self._born += 1
        self._sequence += _SEQUENCE_STEP
        self._logs[shard_id] = _ShardLog(shard_id, parents, first_hash, last_hash, born_after=self._sequence)
        return shard_id

    def _open(self) -> list[_ShardLog]:
        return [log for log in self._logs.values() if log.closed_ms is None]

    def _log(self, shard_id: ShardId) -> _ShardLog:
        try:
            return self._logs[shard_id]
        except KeyError:
            raise ShardGone(f"the stream has no {shard_id}; it was trimmed, or never was") from None


def _hash_of(partition_key: str) -> int:
    return int(md5(partition_key.encode(), usedforsecurity=False).hexdigest(), 16)
