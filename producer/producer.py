"""The producer: one lane per shard with one call in flight, which keeps order and bounds memory."""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from contracts.errors import Misuse, StoreUnavailable
from contracts.names import stream as stream_name
from contracts.settings import RegionSettings
from producer.aggregator import (
    MAX_KINESIS_RECORD_BYTES,
    MAX_PARTITION_KEY,
    Aggregator,
    Entry,
    Limits,
)
from producer.put import (
    Outcome,
    RetryRules,
    explain,
    put_all,
)
from producer.shards import ShardMap, list_shards

MAX_LANES_AT_ONCE = 8


@dataclass(slots=True)
class ProducerReport:
    """What was put. `bytes` counts user records, before framing."""

    records: int = 0
    kinesis_records: int = 0
    bytes: int = 0
    calls: int = 0
    throttled: int = 0
    failed_calls: int = 0


@dataclass(slots=True)
class _Lane:
    shard_id: str
    held: Aggregator
    in_flight: "Future[Outcome] | None" = field(default=None)


class Producer:
    """Puts user records on one stream.

    Promises
    - All records of one partition key go to one shard, in the order of `put` (see put_all for the one exception,
      within a call that Kinesis accepts in part).
    - At most one call per shard is in flight; `put` blocks while its lane is busy, so memory is bounded.
    - After `flush` or a clean exit of the `with` block Kinesis has accepted every record, or an error was raised.
    """

    def __init__(
        self,
        client: Any,
        stream: str,
        *,
        aggregated: bool = True,
        limits: Limits | None = None,
        rules: RetryRules | None = None,
    ) -> None:
        """Read the stream's shards. Raises StoreUnavailable where Kinesis does not answer or has no such stream."""
        self.report = ProducerReport()
        self._client = client
        self._stream = stream
        self._aggregated = aggregated
        self._limits = limits or Limits()
        self._rules = rules or RetryRules()
        self._load_shards()
        self._pool = ThreadPoolExecutor(min(len(self._lanes), MAX_LANES_AT_ONCE), thread_name_prefix="put")

    @classmethod
    def open(cls, settings: RegionSettings, *, aggregated: bool = True, limits: Limits | None = None) -> Self:
        """A producer for the region's stream telemetry-R."""
        # put_all retries: botocore's own retries would hide throttling and ignore partial failures.
        config = Config(
            connect_timeout=5,
            read_timeout=30,
            retries={"total_max_attempts": 1},
            max_pool_connections=MAX_LANES_AT_ONCE,
            parameter_validation=False,
        )
        client = boto3.client("kinesis", config=config, **settings.kinesis.client_kwargs(settings.row.aws_region))
        return cls(client, stream_name(settings.region), aggregated=aggregated, limits=limits)

    def put(self, records: Iterable[tuple[str, bytes]]) -> None:
        """Put (partition key, user record) pairs. Blocks while a lane is full.

        An empty key is replaced and one that is too long for Kinesis is cut. Raises Misuse for a record that does not
        fit into a Kinesis record, and the error of an earlier call of the lane.
        """
        if self._moved:
            self.flush()
            self._load_shards()
        by_lane: list[list[tuple[str, bytes]]] = [[] for _ in self._lanes]
        index_of = self.shards.index_of
        for pair in records:
            key, data = pair
            if not key or len(key) > MAX_PARTITION_KEY:
                key = key[:MAX_PARTITION_KEY] or "-"
                pair = (key, data)  # noqa: PLW2901
            if len(data) + 4 * MAX_PARTITION_KEY > MAX_KINESIS_RECORD_BYTES:
                raise Misuse(f"a record of {len(data)} bytes cannot be put: Kinesis takes {MAX_KINESIS_RECORD_BYTES}")
            by_lane[index_of(key)].append(pair)
            self.report.bytes += len(data)
        for lane, pairs in zip(self._lanes, by_lane, strict=True):
            for call in lane.held.add(pairs):
                self._submit(lane, call)

    def flush(self) -> None:
        """Send everything that is buffered and wait until Kinesis has accepted it."""
        for lane in self._lanes:
            for call in lane.held.flush():
                self._submit(lane, call)
        for lane in self._lanes:
            self._await_call(lane)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.flush()
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _load_shards(self) -> None:
        self._moved = False
        try:
            self.shards: ShardMap = list_shards(self._client, self._stream)
        except ClientError as error:
            raise explain(error, self._stream) from None
        except BotoCoreError as error:
            raise StoreUnavailable(f"Kinesis does not answer for {self._stream} ({type(error).__name__})") from None
        self._lanes = [
            _Lane(shard_id, Aggregator(self._limits, aggregated=self._aggregated)) for shard_id in self.shards.shard_ids
        ]

    def _submit(self, lane: _Lane, call: list[Entry]) -> None:
        """Start a lane's next call once its previous call is done."""
        self._await_call(lane)
        lane.in_flight = self._pool.submit(put_all, self._client, self._stream, call, self._rules)
        self.report.kinesis_records += len(call)
        self.report.records += sum(entry.user_records for entry in call)

    def _await_call(self, lane: _Lane) -> None:
        if lane.in_flight is None:
            return
        outcome, lane.in_flight = lane.in_flight.result(), None
        self.report.calls += outcome.calls
        self.report.throttled += outcome.throttled
        self.report.failed_calls += outcome.failed_calls
        # After a reshard a child shard accepts what was meant for its parent.
        self._moved |= not outcome.shard_ids <= {lane.shard_id}
