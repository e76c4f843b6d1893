"""Whether a lease's owner still lives, judged by this observer's own clock."""

from collections.abc import Iterable

from contracts.ledger import LeaseRow
from ingest.batch import ShardId
from ingest.runtime.clock import Clock


class Observer:
    """Measures how long each row has stood still since this observer first saw it so.

    A heartbeat that changes proves life; wall clocks of other machines are never read. A row that was not seen before
    starts at zero, so a new observer waits a whole ttl before it takes what another owns.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[ShardId, tuple[tuple[int, int], float]] = {}

    def see(self, rows: Iterable[LeaseRow]) -> None:
        """Take note of the rows as just read."""
        now_s = self._clock.monotonic_s()
        fresh: dict[ShardId, tuple[tuple[int, int], float]] = {}
        for row in rows:
            # Not wanted_by: that someone asks for a shard says nothing about its owner.
            sign = (row.fence, row.heartbeat)
            known = self._seen.get(row.shard_id)
            fresh[row.shard_id] = known if known is not None and known[0] == sign else (sign, now_s)
        self._seen = fresh

    def still_s(self, row: LeaseRow) -> float:
        """Seconds for which the row has stood still before this observer's eyes."""
        known = self._seen.get(row.shard_id)
        return 0.0 if known is None else self._clock.monotonic_s() - known[1]
