"""Whether the stream may have trimmed records before they were read."""

from dataclasses import dataclass

from ingest.clock import Clock
from ingest.kinesis.protocol import Records, ShardGone, Start, StreamClient, StreamUnavailable

_AGAIN_S = 1.0
_APPROXIMATE_MS = 60_000
"""How far a record's arrival, which the stream gives approximately and trims by, may lie before its true time."""


@dataclass(slots=True)
class Horizon:
    """Watches the age of the oldest unread record of a shard.

    known_ms: everything that arrived earlier has been read, as far as arrival times tell; 0 is nothing known.
    position: the last record read. While the stream still has it, it has all that came after.
    """

    shard_id: str
    retention_ms: int
    known_ms: int
    position: str
    clock: Clock

    async def check(self, stream: StreamClient, answer: Records) -> bool:
        """Whether records were lost before this answer, the first or a later one. Moves on with the answer."""
        lost = self._too_old(answer.response_ms) and not await self._still_there(stream)
        if answer.records:
            self.known_ms = answer.records[-1].arrival_ms
            self.position = answer.records[-1].sequence_number
        elif answer.millis_behind_latest == 0:
            self.known_ms = max(self.known_ms, answer.response_ms)
        return lost

    def used(self, response_ms: int) -> float:
        """Age of the oldest unread record over the retention."""
        return max(0, response_ms - self.known_ms) / self.retention_ms if self.known_ms else 0.0

    def _too_old(self, response_ms: int) -> bool:
        return self.known_ms > 0 and response_ms - self.known_ms > self.retention_ms - _APPROXIMATE_MS

    async def _still_there(self, stream: StreamClient) -> bool:
        """The record at the position is there, so nothing after it was trimmed."""
        while self.position:
            try:
                iterator = await stream.get_shard_iterator(self.shard_id, Start.at(self.position))
                answer = await stream.get_records(iterator, 1)
            except ShardGone:
                break
            except StreamUnavailable:
                await self.clock.sleep(_AGAIN_S)
            else:
                return bool(answer.records) and answer.records[0].sequence_number == self.position
        return False
