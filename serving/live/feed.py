"""Keeps the table current: loads all of live state once, then follows `R:changed`."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import cast

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from contracts.names import redis_changed, redis_geo, redis_latest, redis_seen
from serving.live.item import Newest
from serving.live.table import LiveTable

POLL_S = 0.25
_READ_AT_ONCE = 500
_ENTRIES_AT_ONCE = 200
_NOTHING = "0-0"
_SEQUENCES = 1_000_000
_LONGEST_PAUSE_S = 5.0
_Entries = list[tuple[bytes, dict[bytes, bytes]]]
"""What a client that decodes nothing reads from a stream: the entries' ids and fields."""
_log = structlog.get_logger(__name__)
_decode = msgspec.json.Decoder(Newest).decode


def version_of(entry: str) -> int:
    """An entry's id as a number that grows."""
    ms, _, sequence = entry.partition("-")
    return int(ms) * _SEQUENCES + min(int(sequence or 0), _SEQUENCES - 1)


def entry_of(version: int) -> str:
    """The entry's id again."""
    return f"{version // _SEQUENCES}-{version % _SEQUENCES}"


class Feed:
    """Follows live state.

    Promises
    - Whatever a write changed is in the table within POLL_S and a read, or the feed says that it is behind.
    - Where entries were trimmed before they were read, all is loaded again: nothing is missed in silence.
    - What is taken in is read after the entry was, so no row goes back to an older record.
    """

    def __init__(self, redis: "Redis", region: str) -> None:
        self._redis, self._region = redis, region
        self.table = LiveTable()
        self.version = 0
        """Everything up to this entry is in the table."""
        self.loads = 0
        self._last = _NOTHING
        self._current_at_s = float("-inf")

    @property
    def behind_s(self) -> float:
        """For how long the table may have missed something; infinity before the first load."""
        return time.monotonic() - self._current_at_s

    async def run(self) -> None:
        """Follow until cancelled."""
        pause = POLL_S
        while True:
            try:
                await self._step()
                pause = POLL_S
            except (RedisError, OSError, TimeoutError) as error:
                _log.warning("serving.feed_away", region=self._region, error=type(error).__name__)
                pause = min(_LONGEST_PAUSE_S, 2 * pause)
            await asyncio.sleep(pause)

    async def load(self) -> None:
        """Read all of live state into a new table."""
        newest = cast("_Entries", await self._redis.xrevrange(redis_changed(self._region), count=1))
        last = newest[0][0].decode() if newest else _NOTHING
        table = LiveTable()
        table.hide(self.table.hidden, 0)
        table.assign(self.table.fleet_of, 0)
        ids = [one.decode() async for one, _ in self._redis.zscan_iter(redis_seen(self._region), count=5_000)]
        version = version_of(last)
        for some in _batches(dict.fromkeys(ids)):
            await self._take(table, some, version)
        self.table, self._last, self.version = table, last, version
        self.loads += 1
        self._current_at_s = time.monotonic()

    async def _step(self) -> None:
        if not self.loads:
            await self.load()
            return
        more = True
        while more:
            name = redis_changed(self._region)
            entries = cast("_Entries", await self._redis.xrange(name, min=self._last, count=_ENTRIES_AT_ONCE))
            names = [entry.decode() for entry, _ in entries]
            if self._last != _NOTHING and names[:1] != [self._last]:
                # The entry that was read last is gone, and perhaps others that were not read.
                await self.load()
                return
            more = len(entries) == _ENTRIES_AT_ONCE
            new = [fields for entry, (_, fields) in zip(names, entries, strict=True) if entry != self._last]
            if new:
                version = version_of(names[-1])
                changed = dict.fromkeys(one for fields in new for one in fields[b"ids"].decode().split())
                for some in _batches(changed):
                    await self._take(self.table, some, version)
                self._last, self.version = names[-1], version
            self._current_at_s = time.monotonic()

    async def _take(self, table: LiveTable, ids: Sequence[str], version: int) -> None:
        """Read the newest records of these devices into the table."""
        names = [redis_latest(self._region, one) for one in ids]
        documents = cast("list[bytes | None]", await self._redis.mget(names))
        found = [(one, _newest(document)) for one, document in zip(ids, documents, strict=True)]
        places = await self._places(
            [one for one, newest in found if newest and not newest.position and table.lacks_position(one)]
        )
        for one, newest in found:
            if newest is None:
                table.forget(one, version)
            else:
                table.put(one, newest, version, places.get(one))

    async def _places(self, ids: Sequence[str]) -> dict[str, tuple[float, float]]:
        """Newest good positions of devices whose newest record has none."""
        if not ids:
            return {}
        found = await self._redis.geopos(redis_geo(self._region), *ids)
        return {one: (float(place[1]), float(place[0])) for one, place in zip(ids, found, strict=True) if place}


def _newest(document: bytes | None) -> Newest | None:
    if document is None:
        return None
    try:
        return _decode(document)
    except msgspec.MsgspecError:
        # One document that nobody can read must not keep the others from the map.
        _log.error("serving.record_unread")
        return None


def _batches(ids: Iterable[str]) -> Iterable[list[str]]:
    left = iter(ids)
    while some := list(islice(left, _READ_AT_ONCE)):
        yield some
