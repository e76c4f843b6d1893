"""Removes objects of flushes that were never committed: unlisted, and of a fence that can commit no more."""

import re
from collections.abc import AsyncIterator, Collection, Iterator, Mapping

import structlog

from contracts.errors import SinkUnavailable
from contracts.ledger import LeaseRow, hour_of
from contracts.names import landing_key, rejected_key
from contracts.record import RejectReason
from ingest.batch import ShardId
from ingest.landing import ObjectStore
from ingest.leases.protocol import Leases
from ingest.runtime.clock import Clock
from ingest.worker.landing.listed import FlushObject, ListedObjects, unlisted

_HOUR_MS = 3_600_000
_MOST_HOURS_ONE_BY_ONE = 48
_AT_ONCE = 1_000
_KEY = re.compile(r"/(?P<shard>[^/]+)-\d+-(?P<last>\d+)-(?P<fence>\d+)\.parquet$")
_log = structlog.get_logger()


class Janitor:
    """Keeps the bucket to what the ledger lists.

    Promises
    - Deletes only objects that can never be listed: the ledger is read after the object was seen, and after the lease
      row that says that its fence is over. Objects of an owner's current fence are kept; those of an ended shard's
      fence are not.
    - `sweep` covers the hours in which earlier owners of the shards held may have left objects. `sweep_all` covers
      every object: those that ended shards left, and those that a paused process wrote after a sweep of its shards.
    - `sweep_all` asks the ledger once about an object that is listed: entries side by side in one page, and what was
      found listed is remembered (ListedObjects).
    - While a store is down, nothing is deleted; the next sweep tries again.
    """

    def __init__(self, store: ObjectStore, leases: Leases, clock: Clock) -> None:
        self._store = store
        self._leases = leases
        self._clock = clock
        self._swept_ms: dict[ShardId, int] = {}
        self._listed = ListedObjects()

    def taken(self, lease: LeaseRow) -> None:
        """Note a lease just taken. Earlier fences left objects only in the hours from its watermark on."""
        if lease.fence > 1:
            self._swept_ms[lease.shard_id] = lease.watermark_ms

    async def sweep(self, held: Collection[ShardId]) -> int:
        """Remove objects that earlier owners of the shards held now left; returns how many."""
        shards = {shard_id for shard_id in held if shard_id in self._swept_ms}
        if not shards:
            return 0
        now_ms = self._clock.wall_ms()
        from_ms = min(self._swept_ms[shard_id] for shard_id in shards)
        removed = await self._remove(from_ms, now_ms + _HOUR_MS, shards, ListedObjects())
        if removed is not None:
            self._swept_ms.update(dict.fromkeys(shards, now_ms - _HOUR_MS))
        return removed or 0

    async def sweep_all(self, held: Collection[ShardId]) -> int:
        """Remove such objects of all shards, if this worker holds the first owned shard; returns how many."""
        try:
            owned = [row.shard_id for row in await self._leases.rows() if row.owner is not None]
        except SinkUnavailable:
            return 0
        if not owned or min(owned) not in held:
            return 0
        self._listed.begin()
        removed = await self._remove(0, 0, None, self._listed)
        if removed is not None:
            self._listed.finish()
        return removed or 0

    async def _remove(
        self, from_ms: int, to_ms: int, shards: Collection[ShardId] | None, listed: ListedObjects
    ) -> int | None:
        removed, seen = 0, list[FlushObject]()
        try:
            # A fence that was over when the sweep began is over for good.
            rows = {row.shard_id: row for row in await self._leases.rows()}
            async for found in _objects(self._store, from_ms, to_ms):
                if shards is None or found.shard_id in shards:
                    seen.append(found)
                if len(seen) >= _AT_ONCE:
                    removed += await self._judge(seen, rows, listed)
                    seen = []
            removed += await self._judge(seen, rows, listed)
        except SinkUnavailable as error:
            _log.info("janitor.later", error=str(error))
            return None
        if removed:
            _log.info("janitor.removed", objects=removed)
        return removed

    async def _judge(self, seen: list[FlushObject], rows: Mapping[ShardId, LeaseRow], listed: ListedObjects) -> int:
        over = [found for found in seen if _is_over(found, rows.get(found.shard_id))]
        asked = listed.unknown(over)
        leftovers = await unlisted(self._leases, asked)
        left = {found.key for found in leftovers}
        listed.add([found for found in asked if found.key not in left])
        for found in leftovers:
            await self._store.delete(found.key)
        return len(leftovers)


def _is_over(found: FlushObject, row: LeaseRow | None) -> bool:
    """Whether that fence can commit nothing more. An object of a shard without a row is kept."""
    if row is None:
        return False
    return found.fence < row.fence or (row.ended and found.fence == row.fence)


async def _objects(store: ObjectStore, from_ms: int, to_ms: int) -> AsyncIterator[FlushObject]:
    for prefix in _prefixes(from_ms, to_ms):
        async for key in store.list(prefix):
            match = _KEY.search(key)
            if match:
                yield FlushObject(key, match["shard"], match["last"], int(match["fence"]))


def _prefixes(from_ms: int, to_ms: int) -> Iterator[str]:
    hours = range(from_ms // _HOUR_MS, to_ms // _HOUR_MS + 1)
    if from_ms <= 0 or len(hours) > _MOST_HOURS_ONE_BY_ONE:
        yield from ("landing/telemetry/", "rejected/telemetry/")
        return
    for number in hours:
        hour = hour_of(number * _HOUR_MS)
        yield _folder(landing_key(hour, "", "", "", 0))
        for reason in RejectReason:
            yield _folder(rejected_key(reason.value, hour, "", "", "", 0))


def _folder(key: str) -> str:
    return key.rpartition("/")[0] + "/"
