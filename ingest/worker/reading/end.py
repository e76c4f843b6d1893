"""Where a shard ends: an end cannot be undone, so it is believed only with the stream's own word for it."""

from collections.abc import Iterable

from ingest.batch import ShardId
from ingest.kinesis import Records, Shard, StreamClient, StreamUnavailable
from ingest.kinesis.trouble import Trouble
from ingest.runtime.clock import Clock


class End:
    """Judges the ends that a shard's reader reports.

    Promises
    - An end is believed where the answer names the shard's children, or the stream's list no longer has the shard, or
      the list has it as closed and two answers in a row, neither with records, end there.
    - Any other is the stream's mistake: `children` waits, says so, and the reader goes on from a new iterator.
    """

    def __init__(self, shard_id: ShardId, stream: StreamClient, clock: Clock, trouble: Trouble) -> None:
        self._shard_id = shard_id
        self._stream = stream
        self._clock = clock
        self._trouble = trouble
        self._seen_before = False

    async def children(self, answer: Records) -> list[Shard] | None:
        """The children of the shard, which ends with this answer; None where it goes on."""
        if answer.next_iterator is not None:
            self._seen_before = False
            return None
        if answer.child_shards:
            return answer.child_shards
        listed = {shard.shard_id: shard for shard in await self._listed()}
        own = listed.get(self._shard_id)
        if own is not None and not own.closed:
            await self.disbelieve(f"{self._shard_id}: no next iterator and no children, yet the list has it open")
            return None
        if own is not None and (answer.records or not self._seen_before):
            self._seen_before = not answer.records
            return None
        return self._children_in(listed.values())

    async def listed_children(self) -> list[Shard]:
        """The shard's children by the stream's list."""
        return self._children_in(await self._listed())

    async def is_gone(self) -> bool:
        """Whether the stream does not list the shard."""
        return self._shard_id not in {shard.shard_id for shard in await self._listed()}

    async def disbelieve(self, what: str) -> None:
        """Note what the stream said by mistake, and wait a little."""
        await self._clock.sleep(self._trouble.note(StreamUnavailable(what)))

    def _children_in(self, listed: Iterable[Shard]) -> list[Shard]:
        return [shard for shard in listed if self._shard_id in shard.parents]

    async def _listed(self) -> list[Shard]:
        while True:
            try:
                return await self._stream.list_shards()
            except StreamUnavailable as error:
                await self._clock.sleep(self._trouble.note(error))
