"""The live table says what the records say, and follows `R:changed` without missing anything."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.names import redis_changed, redis_latest
from contracts.record import Flag
from ingest.live import RedisLive
from serving.live.cells import cells
from serving.live.feed import Feed, entry_of, version_of
from serving.live.item import Newest, State
from serving.live.table import Box, LiveTable
from serving.stores.records import client_of, plain
from tests.builders.ingest import ARRIVAL_MS, landing_rows
from tests.builders.valkey_server import url_of, valkey

NOW = datetime(2026, 11, 30, tzinfo=UTC)
PLACES = st.lists(st.tuples(st.floats(-89, 89), st.floats(-180, 180)), min_size=1, max_size=40)


def table_of(places: list[tuple[float, float]]) -> LiveTable:
    table = LiveTable()
    for number, (lat, lon) in enumerate(places):
        table.put(f"d{number:03d}", Newest(ts=NOW, lat=lat, lon=lon, speed_kmh=50.0), 1)
    return table


def apart_m(one: tuple[float, float], other: tuple[float, float]) -> float:
    """By vectors on the sphere, not by the table's formula."""
    (a, b), (c, d) = np.radians(one), np.radians(other)
    first = np.array([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)])
    second = np.array([np.cos(c) * np.cos(d), np.cos(c) * np.sin(d), np.sin(c)])
    return 6_371_008.8 * float(np.arctan2(np.linalg.norm(np.cross(first, second)), first @ second))


@given(PLACES, st.floats(-89, 89), st.floats(-180, 180), st.floats(1_000, 500_000))
@settings(max_examples=200, deadline=None)
def test_what_is_near_is_what_the_sphere_says(
    places: list[tuple[float, float]], lat: float, lon: float, radius_m: float
) -> None:
    table = table_of(places)
    rows, distances = table.near(table.view(["*"]).rows, lat, lon, radius_m, 1_000)
    truth = [apart_m((lat, lon), place) for place in places]
    assert {int(row) for row in rows} >= {n for n, distance in enumerate(truth) if distance < radius_m - 1}
    assert {int(row) for row in rows} <= {n for n, distance in enumerate(truth) if distance < radius_m + 1}
    assert list(distances) == sorted(distances)


@given(PLACES, st.integers(0, 12))
@settings(max_examples=100, deadline=None)
def test_cells_count_each_device_once(places: list[tuple[float, float]], zoom: int) -> None:
    table = table_of(places)
    found = cells(table, table.view(["*"]).rows, zoom, None)
    assert sum(cell.devices for cell in found) == sum(cell.moving for cell in found) == len(places)


def test_a_box_may_cross_180_degrees() -> None:
    table = table_of([(0, 179.5), (0, -179.5), (0, 0)])
    rows = table.view(["*"]).rows
    assert table.in_box(rows, Box(179, -1, -179, 1)).tolist() == [0, 1]
    assert table.in_box(rows, Box(-1, -1, 1, 1)).tolist() == [2]


def test_a_bad_position_and_none_leave_the_last_good_one() -> None:
    table = table_of([(48.0, 11.0)])
    table.put("d000", Newest(ts=NOW, lat=0.0, lon=0.0, flags=int(Flag.NULL_ISLAND), engine_on=False), 2)
    assert (table.lat[0], table.lon[0]) == (48.0, 11.0)
    table.put("d000", Newest(ts=NOW, speed_kmh=0.0), 3)
    assert b'"lat":48.0' in table.item("d000")
    assert table.in_state(np.array([0]), State.standing).tolist() == [0]


def test_a_device_of_another_fleet_now_is_in_its_view_alone() -> None:
    table = table_of([(48.0, 11.0), (49.0, 11.0)])
    table.assign({"d000": "a", "d001": "a"}, 2)
    assert table.view(["a"]).ids == ["d000", "d001"]
    table.assign({"d000": "a", "d001": "b"}, 3)
    assert (table.view(["a"]).ids, table.view(["b"]).ids, table.view([]).ids) == (["d000"], ["d001"], [])
    assert table.since(table.view(["a", "b"]).rows, 2).tolist() == [1]
    assert b'"fleet_id":"b"' in table.item("d001")


def test_a_version_is_the_entry_of_the_stream() -> None:
    for entry in ("0-0", "1796000000000-0", "1796000000000-17"):
        assert entry_of(version_of(entry)) == entry


def test_a_document_is_told_without_the_consumers_order() -> None:
    head = b'{"order":"' + b"1" * 90 + b'","position_order":"' + b"2" * 90 + b'"'
    assert plain(head + b',"device_id":"d1"}') == b'{"device_id":"d1"}'
    assert plain(b'{"device_id":"d1"}') == b'{"device_id":"d1"}'


def followed(story: Callable[[RedisLive, Feed, Any], Awaitable[None]]) -> None:
    """A story on a real server, with a feed that is stepped by hand."""

    async def whole(url: str) -> None:
        live, client = RedisLive(url, "eu"), client_of(url, 5)
        try:
            await story(live, Feed(client, "eu"), client)
        finally:
            await live.close()
            await client.aclose()

    with valkey() as server:
        asyncio.run(whole(url_of(server)))


def rows(first: int, count: int, late_ms: int = 0, **other: Any) -> Any:
    fields = {"ts_ms": ARRIVAL_MS + late_ms, "arrival_ms": ARRIVAL_MS, "seq": 0, "lat": 48.1, "lon": 11.5, "flags": 0}
    return landing_rows([{"device_id": f"d{number}", **fields, **other} for number in range(first, first + count)])


def test_the_feed_loads_once_and_then_follows() -> None:
    async def story(live: RedisLive, feed: Feed, _: Any) -> None:
        await live.write(rows(0, 600))
        await feed._step()
        before = feed.version
        await live.write(rows(3, 1, 1_000, lat=50.0))
        await live.forget(["d4"])
        await feed._step()
        assert feed.loads == 1
        table = feed.table
        assert [table.ids[row] for row in table.since(table.view(["*"]).rows, before)] == ["d3", "d4"]
        assert ("d3" in table, "d4" in table) == (True, False)
        assert b'"lat":50.0' in table.item("d3")

    followed(story)


def test_what_was_trimmed_before_it_was_read_is_loaded() -> None:
    async def story(live: RedisLive, feed: Feed, client: Any) -> None:
        await live.write(rows(0, 2))
        await feed._step()
        for number in range(2, 10):
            await live.write(rows(number, 1))
        await client.xtrim(redis_changed("eu"), maxlen=1, approximate=False)
        await feed._step()
        assert (feed.loads, len(feed.table)) == (2, 10)
        await client.flushall()
        await feed._step()
        assert (feed.loads, len(feed.table)) == (3, 0)

    followed(story)


def test_one_document_that_cannot_be_read_keeps_no_other_from_the_map() -> None:
    async def story(live: RedisLive, feed: Feed, client: Any) -> None:
        await live.write(rows(0, 3))
        await client.set(redis_latest("eu", "d1"), b"{broken")
        await feed._step()
        assert [device in feed.table for device in ("d0", "d1", "d2")] == [True, False, True]

    followed(story)


def test_a_record_without_a_position_is_shown_at_the_newest_good_one() -> None:
    async def story(live: RedisLive, feed: Feed, _: Any) -> None:
        await live.write(rows(0, 1))
        await live.write(rows(0, 1, 1_000, lat=None, lon=None))
        await feed._step()
        assert abs(feed.table.lat[0] - 48.1) < 1e-4

    followed(story)
