"""Interfaces to a stream, what they promise, and their errors."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from contracts.errors import FleetlakeError
from ingest.batch import KinesisRecord, ShardId


class StreamUnavailable(FleetlakeError):
    """The stream gave no usable response; asking again is safe."""

    passing = False
    """Whether a healthy stream does this now and then."""


class Throttled(StreamUnavailable):
    """The shard's read limit was exceeded: 5 reads or 2 MB per second."""

    passing = True


class IteratorExpired(StreamUnavailable):
    """A shard iterator lives for five minutes; ask for a new one after the last sequence number read."""


class AnswerTooLarge(FleetlakeError):
    """The answer is larger than any of Kinesis, and was not taken in; ask for fewer records."""


class ShardGone(FleetlakeError):
    """The stream has no such shard, or no longer: it was closed and its records were trimmed."""


class Start(NamedTuple):
    """Where reading a shard starts: a ShardIteratorType and its argument. See the constructors."""

    kind: str
    sequence_number: str = ""
    arrival_ms: int = 0

    @classmethod
    def oldest(cls) -> "Start":
        """At the oldest record that the stream still has."""
        return cls("TRIM_HORIZON")

    @classmethod
    def latest(cls) -> "Start":
        """Just after the newest record."""
        return cls("LATEST")

    @classmethod
    def at(cls, sequence_number: str) -> "Start":
        """At this record, or the first after it where it was trimmed."""
        return cls("AT_SEQUENCE_NUMBER", sequence_number=sequence_number)

    @classmethod
    def after(cls, sequence_number: str) -> "Start":
        """Just after this record."""
        return cls("AFTER_SEQUENCE_NUMBER", sequence_number=sequence_number)

    @classmethod
    def arrived(cls, arrival_ms: int) -> "Start":
        """At the first record that arrived at this epoch time (ms) or later."""
        return cls("AT_TIMESTAMP", arrival_ms=arrival_ms)


class Shard(NamedTuple):
    """One shard: its parents (none, one after a split, two after a merge) and its hash range, inclusive."""

    shard_id: ShardId
    parents: tuple[ShardId, ...] = ()
    first_hash: int = 0
    last_hash: int = 0
    closed: bool = False


@dataclass(slots=True)
class Records:
    """One response of get_records."""

    records: Sequence[KinesisRecord]
    next_iterator: str | None
    """None at the end of a closed shard, whose last record has been read; by mistake of the stream also elsewhere."""
    millis_behind_latest: int
    child_shards: list[Shard] = field(default_factory=list)
    """At the end of a closed shard: what it was split or merged into."""
    response_ms: int = 0
    """The stream's epoch time (ms) of the response; may be early, never late."""
    bytes_read: int = 0
    """Bytes of data and partition keys, as the stream counts them against a shard's limit."""
    late_ms: int = 0
    """How much `response_ms` may be early, to about a second."""

    @property
    def latest_ms(self) -> int:
        """The stream's epoch time (ms) of the response; may be late, never early by more than about a second."""
        return self.response_ms + self.late_ms


class StreamDescription(NamedTuple):
    """The stream's retention (ms); its epoch time (ms; 0 is unknown), which may be early, never late; and when it was
    made (ms; 0 is unknown), by which a stream is told from an earlier one of its name."""

    retention_ms: int
    now_ms: int = 0
    created_ms: int = 0


SMALL_ANSWER_BYTES = 256 * 1024
"""An answer of at most so much takes no Turn: a shard at its tip waits for none that has a backlog."""


class Turn(Protocol):
    """A reader's turn to bring an answer into memory: few do so at a time, however many shards there are.

    It begins when an answer has come and its body was not read yet, so who waits for a slow stream takes no turn. A
    reader ends it where an attempt fails; whoever takes the answer in ends it once its records are held.
    """

    async def begin(self) -> None:
        """Wait until there is room for an answer. Nothing where the turn has begun."""
        ...

    def end(self) -> None:
        """Let the next reader begin. Nothing where the turn has ended."""
        ...


class NoTurn:
    """A Turn of a reader that is alone."""

    async def begin(self) -> None:
        """At once."""

    def end(self) -> None:
        """Nobody waits."""


class ShardReader(Protocol):
    """Reads one shard from a position on, by polling or by subscription.

    Promises
    - `read` returns each record once and in order, and retries what the stream refuses in between. It raises ShardGone,
      and FleetlakeError where a retry cannot help. It may be cancelled while it waits.
    - `next_iterator` of what it returns is None where the stream says that the shard's last record was read. `read` may
      still be called: it goes on after the last record returned.
    """

    async def read(self) -> Records: ...
    def close(self) -> None: ...


class StreamClient(Protocol):
    """One stream.

    Promises
    - Records of a shard come in the order of their sequence numbers, which compare as integers and only grow; reading
      from the same place again gives the same records, unless the stream has trimmed them.
    - A closed shard stays readable until its records are trimmed; its last response has no next iterator and names the
      children. A child's records are later than all of its parents'.
    - A response without records, with an iterator and `millis_behind_latest` 0 means that nothing that arrived before
      `response_ms` is unread in the shard.
    - Raises Throttled, IteratorExpired or StreamUnavailable (ask again), AnswerTooLarge (ask for less), ShardGone, and
      FleetlakeError where access is refused or the stream does not exist. It never retries on its own.
    """

    async def describe(self) -> StreamDescription: ...
    async def list_shards(self) -> list[Shard]: ...
    async def get_shard_iterator(self, shard_id: ShardId, start: Start) -> str: ...
    async def get_records(self, iterator: str, limit: int = 10_000, *, turn: Turn | None = None) -> Records:
        """At most `limit` records. turn: begun before a body is read, so that it waits in the connection meanwhile."""
        ...

    async def close(self) -> None: ...
