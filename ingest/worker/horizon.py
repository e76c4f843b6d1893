"""Whether the stream may have trimmed records before they were read."""

from dataclasses import dataclass

from ingest.kinesis.protocol import Records, ShardGone, Start, StreamClient

_EDGE_MS = 300_000
"""While reading goes on, a shard at the very edge of retention is behind, not yet robbed."""


@dataclass(slots=True)
class Horizon:
    """Watches the age of the oldest unread record of a shard.

    known_ms: everything that arrived earlier has been read, as far as arrival times tell; 0 is nothing known.
    """

    shard_id: str
    retention_ms: int
    known_ms: int
    position: str
    resuming: bool = True

    async def check(self, stream: StreamClient, answer: Records) -> bool:
        """Whether records were lost before this answer, the first or a later one. Moves on with the answer."""
        lost = self._too_old(answer.response_ms) and not await self._still_there(stream)
        self.resuming = False
        if answer.records:
            self.known_ms = answer.records[-1].arrival_ms
        elif answer.millis_behind_latest == 0:
            self.known_ms = max(self.known_ms, answer.response_ms)
        return lost

    def used(self, response_ms: int) -> float:
        """Age of the oldest unread record over the retention."""
        return max(0, response_ms - self.known_ms) / self.retention_ms if self.known_ms else 0.0

    def _too_old(self, response_ms: int) -> bool:
        allowed_ms = self.retention_ms + (0 if self.resuming else _EDGE_MS)
        return self.known_ms > 0 and response_ms - self.known_ms > allowed_ms

    async def _still_there(self, stream: StreamClient) -> bool:
        """The record at the position is there, so nothing after it was trimmed."""
        if not self.resuming or not self.position:
            return False
        try:
            iterator = await stream.get_shard_iterator(self.shard_id, Start.at(self.position))
            answer = await stream.get_records(iterator, 1)
        except ShardGone:
            return False
        return bool(answer.records) and answer.records[0].sequence_number == self.position
