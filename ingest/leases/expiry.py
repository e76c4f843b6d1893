"""Whether a lease's owner is alive, by its heartbeat and this observer's own clock."""

from collections.abc import Iterable

from contracts.ledger import LeaseRow
from ingest.batch import ShardId
from ingest.runtime.clock import Clock


class Observer:
    """Measures for how long each row's fence and heartbeat have not changed.

    A heartbeat that changes proves that the owner is alive; wall clocks of other machines are never read. A row starts
    at zero when it is first seen, so a new observer waits one TTL before it takes what another worker owns.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[ShardId, tuple[tuple[int, int], float]] = {}

    def see(self, rows: Iterable[LeaseRow]) -> None:
        """Note the rows as just read."""
        now_s = self._clock.monotonic_s()
        fresh: dict[ShardId, tuple[tuple[int, int], float]] = {}
        for row in rows:
            # Not wanted_by: a request for a shard says nothing about its owner.
            sign = (row.fence, row.heartbeat)
            known = self._seen.get(row.shard_id)
            fresh[row.shard_id] = known if known is not None and known[0] == sign else (sign, now_s)
        self._seen = fresh

    def unchanged_s(self, row: LeaseRow) -> float:
        """Seconds since this observer last saw the row change."""
        known = self._seen.get(row.shard_id)
        return 0.0 if known is None else self._clock.monotonic_s() - known[1]
