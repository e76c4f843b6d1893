"""Removes objects of flushes that were never committed: unlisted, and of a fence that is no longer the shard's."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import structlog

from contracts.errors import SinkUnavailable
from contracts.ledger import LeaseRow, hour_of
from contracts.names import landing_key, rejected_key
from contracts.record import RejectReason
from ingest.landing import ObjectStore
from ingest.leases.protocol import Ledger

_HOUR_MS = 3_600_000
_MOST_HOURS_ONE_BY_ONE = 48
_KEY = re.compile(r"/(?P<shard>[^/]+)-(?P<first>\d+)-(?P<last>\d+)-(?P<fence>\d+)\.parquet$")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Leftover:
    key: str
    shard_id: str
    first_seq: str
    fence: int


async def sweep(store: ObjectStore, ledger: Ledger, leases: list[LeaseRow], *, from_ms: int, to_ms: int) -> int:
    """Delete what earlier owners of these shards left in the hours between two epoch times; says how many objects.

    leases: shards as this worker holds them now. from_ms 0 looks through everything. A store that is away now is left
    for the next time.
    """
    fences = {lease.shard_id: lease.fence for lease in leases}
    try:
        suspects = [
            found
            async for found in _objects(store, from_ms, to_ms)
            if found.shard_id in fences and found.fence < fences[found.shard_id]
        ]
        listed = await _listed(ledger, suspects)
        removed = 0
        for found in suspects:
            if found.key not in listed:
                await store.delete(found.key)
                removed += 1
    except SinkUnavailable as error:
        _log.info("janitor.later", error=str(error))
        return 0
    if removed:
        _log.info("janitor.removed", objects=removed)
    return removed


async def _listed(ledger: Ledger, suspects: list[_Leftover]) -> set[str]:
    first: dict[str, int] = {}
    for found in suspects:
        first[found.shard_id] = min(first.get(found.shard_id, int(found.first_seq)), int(found.first_seq))
    keys: set[str] = set()
    for shard_id, sequence in first.items():
        for entry in await ledger.entries(shard_id, str(max(0, sequence - 1))):
            keys.update(landed.key for landed in entry.objects)
    return keys


async def _objects(store: ObjectStore, from_ms: int, to_ms: int) -> AsyncIterator[_Leftover]:
    for prefix in _prefixes(from_ms, to_ms):
        async for key in store.list(prefix):
            match = _KEY.search(key)
            if match:
                yield _Leftover(key, match["shard"], match["first"], int(match["fence"]))


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
