"""Waits until every shard's owner applies a version of the suppression list, to all that it has read."""

import asyncio
import time

import structlog

from contracts.errors import StoreUnavailable
from contracts.ledger import LeaseRow
from contracts.settings import RegionSettings
from ingest.leases.dynamodb import DynamoLeases

_LOOK_S = 0.5
_WORKER = "erasure"
_log = structlog.get_logger()


class Consumers:
    """The region's consumers, as an erasure waits for them."""

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def acknowledged(self, version: int, within_s: float) -> int:
        """How many shards' owners apply `version` or a later one, in landing and in live state; waits for them.

        A shard that nobody reads needs no acknowledgement: who takes it reads the list first. One whose owner is dead
        is taken from it, so that it commits nothing any more. Raises StoreUnavailable, which names the silent workers.
        """
        return asyncio.run(self._acknowledged(version, within_s))

    async def _acknowledged(self, version: int, within_s: float) -> int:
        leases = DynamoLeases(self._settings.region, self._settings.row.aws_region, self._settings.dynamodb)
        wait = _Wait(leases, version, self._settings.lease_ttl_s)
        deadline = time.monotonic() + within_s
        try:
            while waiting := await wait.look():
                if time.monotonic() > deadline:
                    owners = ", ".join(sorted({row.owner or "nobody" for row in waiting}))
                    raise StoreUnavailable(
                        f"shards of region {self._settings.region} whose consumers have not acknowledged version "
                        f"{version} of the suppression list: {len(waiting)} ({owners}); see that they reach Postgres"
                    )
                await asyncio.sleep(_LOOK_S)
        finally:
            await leases.close()
        return wait.acknowledged


class _Wait:
    def __init__(self, leases: DynamoLeases, version: int, ttl_s: float) -> None:
        self._leases, self._version, self._ttl_s = leases, version, ttl_s
        self._beats: dict[str, tuple[int, int, float]] = {}
        self._committed: dict[str, int] = {}
        self.acknowledged = 0

    async def look(self) -> list[LeaseRow]:
        """The leases that are waited for."""
        rows = await self._leases.rows()
        waiting = [row for row in rows if not self._is_over(row)]
        self.acknowledged = len(rows) - len(waiting)
        for row in waiting:
            await self._take_from_the_dead(row)
        return waiting

    def _is_over(self, row: LeaseRow) -> bool:
        if row.ended or row.owner is None:
            return True
        if row.suppression_version < self._version:
            return False
        # What was committed by then has to be in live state, too: a write that waits would bring it there afterwards.
        reached = self._committed.setdefault(row.shard_id, int(row.position or 0))
        return not row.live_seq or int(row.live_seq) >= reached

    async def _take_from_the_dead(self, row: LeaseRow) -> None:
        """A heartbeat that stood still for two TTLs is nobody's: take the lease, and let go of it."""
        fence, heartbeat, since_s = self._beats.get(row.shard_id, (-1, -1, 0.0))
        if (fence, heartbeat) != (row.fence, row.heartbeat):
            self._beats[row.shard_id] = (row.fence, row.heartbeat, time.monotonic())
        elif time.monotonic() - since_s > 2 * self._ttl_s:
            taken = await self._leases.take(row, _WORKER)
            if taken is not None:
                await self._leases.release(taken, live_seq=taken.live_seq)
                _log.warning("lease.taken_from_the_dead", shard=row.shard_id, owner=row.owner)
