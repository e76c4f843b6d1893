"""Newest records of devices from Redis, as the documents that they are."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from contracts.names import redis_latest, redis_trail
from contracts.outages import REDIS
from serving.stores.away import naming_the_store

_ORDER = b'{"order":"'
_HEAD = 211
"""Bytes of the two order keys, which are the consumer's own, with the comma behind them."""
_CONNECTIONS = 32


def client_of(url: str, timeout_s: float) -> "Redis":
    """A client that fails rather than waits."""
    return Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 1),
        max_connections=_CONNECTIONS,
        protocol=2,
    )


class Records:
    """Newest records."""

    def __init__(self, redis: "Redis", region: str, timeout_s: float) -> None:
        self._redis, self._region, self._timeout_s = redis, region, timeout_s

    async def newest(self, ids: Sequence[str]) -> list[bytes | None]:
        """The newest record of each device as JSON in contract fields, in their order. Raises StoreAway."""
        if not ids:
            return []
        with naming_the_store(REDIS):
            async with asyncio.timeout(self._timeout_s):
                names = [redis_latest(self._region, one) for one in ids]
                found = cast("list[bytes | None]", await self._redis.mget(names))
        return [None if document is None else plain(document) for document in found]

    async def trails(self, ids: Sequence[str]) -> list[list[tuple[int, float, float]]]:
        """The newest points of each device by time: epoch milliseconds, latitude, longitude. Raises StoreAway."""
        with naming_the_store(REDIS):
            async with asyncio.timeout(self._timeout_s):
                async with self._redis.pipeline(transaction=False) as pipe:
                    for one in ids:
                        pipe.zrange(redis_trail(self._region, one), 0, -1, withscores=True)
                    answers = await pipe.execute()
        return [
            [
                (int(score), place.lat, place.lon)
                for member, score in points
                if (place := _point(member)).lat is not None and place.lon is not None
            ]
            for points in answers
        ]


class _Point(msgspec.Struct):
    lat: float | None = None
    lon: float | None = None


_point = msgspec.json.Decoder(_Point).decode


def plain(document: bytes) -> bytes:
    """A document of live state without the order keys."""
    if document.startswith(_ORDER) and document[_HEAD - 1 : _HEAD + 1] == b',"':
        return b"{" + document[_HEAD:]
    fields: dict[str, Any] = msgspec.json.decode(document)
    kept = {name: value for name, value in fields.items() if name not in ("order", "position_order")}
    return msgspec.json.encode(kept)
