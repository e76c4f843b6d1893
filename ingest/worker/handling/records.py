"""What a handler is given: records of a shard, and the call that says up to where they are done."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import msgspec

from contracts.errors import FleetlakeError, Misuse
from ingest.batch import ShardId


class Record(msgspec.Struct, frozen=True, gc=False):
    """One user record; a KPL aggregate holds many."""

    data: bytes
    partition_key: str
    """That of its Kinesis record."""
    sequence_number: str
    sub_sequence: int
    """Place within the Kinesis record, from 0. With the sequence number it identifies the record for ever."""
    arrival_ms: int


class Poison(FleetlakeError):
    """Raised by a handler: this record can never be handled. It is set aside, and the others are given again."""

    def __init__(self, record: Record) -> None:
        super().__init__(f"{record.sequence_number}/{record.sub_sequence} cannot be handled")
        self.record = record


class ShardRecords(Sequence[Record]):
    """Consecutive records of one shard, for one call of the handler.

    Promises
    - Calls for a shard come one after the other and in the order of the stream; shards are independent.
    - A record comes again until a checkpoint at it or after it has returned: after an error of the handler, and after
      the end of a worker. So a handler does each record at least once, and has to bear to do it twice.
    """

    def __init__(
        self,
        shard_id: ShardId,
        records: Sequence[Record],
        checkpoint: Callable[[int], Awaitable[None]],
        *,
        ending: bool = False,
    ) -> None:
        self.shard_id = shard_id
        self.ending = ending
        """No call follows: the shard has ended, or goes to another worker. Without records; time to checkpoint."""
        self._records = records
        self._checkpoint = checkpoint

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Record]: ...
    def __getitem__(self, place: int | slice) -> Record | Sequence[Record]:
        return self._records[place]

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    async def checkpoint(self, record: Record | None = None) -> None:
        """All records up to this one, by default the last, are done: when this returns, that is in the ledger.

        Within a KPL aggregate, the checkpoint counts from the last of its records on. Waits while the store of leases
        is away. Raises Misuse for a record of another call, or after the call.
        """
        if record is not None and record not in self._records:
            raise Misuse("checkpoint takes a record of the same call")
        place = len(self._records) if record is None else self._records.index(record) + 1
        await self._checkpoint(place)


Handler = Callable[[ShardRecords], Awaitable[None]]
"""What a library's user writes."""


@dataclass(frozen=True, slots=True)
class Handling:
    """A handler, and how it is called.

    handler: raises Poison for a record that can never be handled. Any other error is taken for one that passes: the
    same records are given again, later and later.
    poison: kinds of errors that a record causes, for a handler that cannot tell which one: the records are given again
    in halves, until the one to blame is alone.
    """

    handler: Handler
    poison: tuple[type[Exception], ...] = ()
    most_records: int = 10_000
    """User records of one call."""
