"""Whether the stream may have trimmed records before they were read."""

from dataclasses import dataclass

import structlog

from ingest.kinesis.protocol import Records, ShardGone, Start, StreamClient, StreamUnavailable
from ingest.kinesis.trouble import Trouble
from ingest.runtime.clock import Clock

SHORTEST_MS = 24 * 3_600_000
"""A stream keeps its records for a day at least; longer only for as long as nobody changes that."""
_APPROXIMATE_MS = 60_000
"""How far a record's arrival, which the stream gives approximately and trims by, may lie before its true time."""
_LEAP_MS = 100
"""Where arrivals go on within this, there was nothing between them to be trimmed."""
_log = structlog.get_logger()


class Retention:
    """How long the stream keeps records, in milliseconds: now, and at the shortest while it was watched."""

    def __init__(self, now_ms: int = 0) -> None:
        self.now_ms = now_ms
        self.shortest_ms = min(now_ms or SHORTEST_MS, SHORTEST_MS)

    def told(self, retention_ms: int) -> None:
        """The stream says so."""
        if self.now_ms not in (0, retention_ms):
            _log.warning("stream.retention_changed", before_ms=self.now_ms, now_ms=retention_ms)
        self.now_ms = retention_ms
        self.shortest_ms = min(self.shortest_ms, retention_ms)

    async def ask(self, stream: StreamClient) -> None:
        """Ask the stream; what gives no answer is asked again the next time."""
        try:
            self.told((await stream.describe()).retention_ms)
        except StreamUnavailable as error:
            _log.info("stream.not_described", error=str(error))


@dataclass(slots=True)
class Horizon:
    """Watches the age of the oldest unread record of a shard.

    known_ms: everything that arrived earlier has been read, as far as arrival times tell; 0 is nothing known.
    trouble: hears of a stream that gives no answer to a look back.
    position: the last record read. While the stream still has it, it has all that came after.
    """

    shard_id: str
    retention: Retention
    known_ms: int
    position: str
    clock: Clock
    trouble: Trouble

    async def check(self, stream: StreamClient, answer: Records) -> bool:
        """Whether records were lost before this answer, the first or a later one. Moves on with the answer."""
        lost = self._in_doubt(answer) and not await self._still_there(stream)
        if answer.records:
            self.known_ms = answer.records[-1].arrival_ms
            self.position = answer.records[-1].sequence_number
        elif answer.millis_behind_latest == 0:
            self.known_ms = max(self.known_ms, answer.response_ms)
        return lost

    def used(self, now_ms: int) -> float:
        """Age of the oldest unread record over the retention. now_ms: the stream's time."""
        if not self.known_ms or not self.retention.now_ms:
            return 0.0
        return max(0, now_ms - self.known_ms) / self.retention.now_ms

    def _in_doubt(self, answer: Records) -> bool:
        """Whether it takes a look back to know.

        The retention may have been another meanwhile, so a place a day old is doubted whatever it is now; but not where
        nothing was read yet, for then there is nothing to look back at, nor where arrivals go on without a gap.
        """
        if not self.known_ms:
            return False
        age_ms = answer.latest_ms - self.known_ms + _APPROXIMATE_MS
        if age_ms > self.retention.now_ms:
            return True
        return bool(self.position) and age_ms > self.retention.shortest_ms and self._leaps(answer)

    def _leaps(self, answer: Records) -> bool:
        if not answer.records:
            return answer.millis_behind_latest == 0
        return answer.records[0].arrival_ms - self.known_ms > _LEAP_MS

    async def _still_there(self, stream: StreamClient) -> bool:
        """The record at the position is there, so nothing after it was trimmed."""
        while self.position:
            try:
                iterator = await stream.get_shard_iterator(self.shard_id, Start.at(self.position))
                answer = await stream.get_records(iterator, 1)
            except ShardGone:
                break
            except StreamUnavailable as error:
                await self.clock.sleep(self.trouble.note(error))
            else:
                self.trouble.over()
                return bool(answer.records) and answer.records[0].sequence_number == self.position
        return False
