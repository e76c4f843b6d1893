"""`R:changed`: readers learn which devices changed, one entry a write, and no more is kept than the cap."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import redis

from contracts.names import redis_changed
from ingest.live import RedisLive
from tests.builders.ingest import ARRIVAL_MS, landing_rows
from tests.builders.valkey_server import url_of, valkey


def _rows(count: int, ts_ms: int = ARRIVAL_MS) -> Any:
    place = {"ts_ms": ts_ms, "arrival_ms": ARRIVAL_MS, "seq": 0, "lat": 48.137, "lon": 11.575, "flags": 0}
    return landing_rows([{"device_id": f"d{number}", **place} for number in range(count)])


def _told(server: "redis.Redis", changes: int, story: Callable[[RedisLive], Awaitable[None]]) -> list[list[str]]:
    """The ids of each entry that the story leaves."""

    async def whole() -> None:
        live = RedisLive(url_of(server), "eu", changes=changes)
        try:
            await story(live)
        finally:
            await live.close()

    asyncio.run(whole())
    return [fields[b"ids"].decode().split() for _, fields in server.xrange(redis_changed("eu"))]


def test_a_write_adds_one_entry_with_the_devices_that_it_changed() -> None:
    async def story(live: RedisLive) -> None:
        await live.write(_rows(3))

    with valkey() as server:
        assert _told(server, 100, story) == [["d0", "d1", "d2"]]


def test_a_write_that_changes_nothing_adds_no_entry() -> None:
    async def story(live: RedisLive) -> None:
        await live.write(_rows(3))
        await live.write(_rows(3))
        await live.write(_rows(3, ARRIVAL_MS - 1_000))

    with valkey() as server:
        assert len(_told(server, 100, story)) == 1


def test_a_device_that_is_forgotten_is_told() -> None:
    async def story(live: RedisLive) -> None:
        await live.write(_rows(2))
        await live.forget(["d1"])

    with valkey() as server:
        assert _told(server, 100, story) == [["d0", "d1"], ["d1"]]


def test_the_stream_is_capped_and_a_cap_of_0_does_not_write_it() -> None:
    async def story(live: RedisLive) -> None:
        for late in range(1_000):
            await live.write(_rows(1, ARRIVAL_MS + late))

    with valkey() as server:
        assert 100 <= len(_told(server, 100, story)) < 400
    with valkey() as server:
        assert _told(server, 0, story) == []
