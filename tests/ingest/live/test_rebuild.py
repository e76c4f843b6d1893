"""Live state that is built anew, lost and kept to size: over memory and over the real Redis."""

import asyncio
import json
import random
from uuid import uuid4

import pyarrow as pa
import pytest

from contracts.names import redis_rebuilds
from ingest.live import LiveState, MemoryLive
from tests.builders.ingest import ARRIVAL_MS, landing_rows
from tests.builders.live import KINDS, assert_holds, opened, text, write

DAY_MS = 86_400_000


@KINDS
def test_many_devices_and_many_points_go_in_one_write(kind: str, request: pytest.FixtureRequest) -> None:
    chance, run = random.Random(9), uuid4().hex
    records = [
        {
            "device_id": f"{run}-{chance.randrange(400)}", "ts_ms": ARRIVAL_MS - i, "arrival_ms": ARRIVAL_MS, "seq": i,
            "lat": 1 + i / 1e4, "lon": 2.0, "flags": 0,
        }
        for i in range(3000)
    ]  # fmt: skip

    some = {record["device_id"] for record in records[:20]}

    async def scenario() -> None:
        async with opened(kind, request, 100) as live:
            report = await write(live, records)
            assert report.devices == report.updated == len({record["device_id"] for record in records})
            assert report.points == len(records)
            await assert_holds(live, [record for record in records if record["device_id"] in some], 100)

    asyncio.run(scenario())


@KINDS
def test_a_device_unseen_for_long_is_forgotten_everywhere_and_others_are_not(
    kind: str, request: pytest.FixtureRequest
) -> None:
    run = uuid4().hex
    # Far in the past, so that the sweep of a store that tests share finds these devices alone.
    past_ms = 1_000_000_000_000
    gone, kept = (
        {
            "device_id": f"{name}-{run}",
            "ts_ms": past_ms,
            "arrival_ms": past_ms + days * DAY_MS,
            "lat": 1.0,
            "lon": 2.0,
            "flags": 0,
        }
        for name, days in (("gone", 0), ("kept", 1))
    )

    async def scenario() -> None:
        async with opened(kind, request) as live:
            await write(live, [gone, kept])
            assert await live.sweep(past_ms + 30 * DAY_MS - 1) == 0
            assert await live.sweep(past_ms + 30 * DAY_MS) == 1
            for what in (live.latest, live.position, live.seen_ms):
                assert await what(gone["device_id"]) is None
                assert await what(kept["device_id"]) is not None
            assert await live.trail(gone["device_id"]) == []
            await live.forget([kept["device_id"]])
            assert (await live.latest(kept["device_id"]), await live.seen_ms(kept["device_id"])) == (None, None)

    asyncio.run(scenario())


@KINDS
def test_what_a_rebuild_writes_goes_through_the_guard_and_its_end_is_its_epoch(
    kind: str, request: pytest.FixtureRequest
) -> None:
    device = uuid4().hex
    old, new = (
        {"device_id": device, "ts_ms": ARRIVAL_MS + i, "arrival_ms": ARRIVAL_MS + i, "seq": i, "flags": 0}
        for i in (0, 1)
    )

    async def scenario() -> None:
        async with opened(kind, request) as live:
            await live.mark_incomplete()
            await write(live, [new])
            await live.begin_rebuild("rebuild-1")
            await write(live, [old])
            assert await live.epoch() is None
            assert await live.end_rebuild("rebuild-1")
            assert await live.epoch() == "rebuild-1"
            assert json.loads(await live.latest(device) or b"")["ts"] == text(new["ts_ms"])

    asyncio.run(scenario())


@KINDS
def test_no_rows_are_no_write(kind: str, request: pytest.FixtureRequest) -> None:
    async def scenario() -> None:
        async with opened(kind, request) as live:
            assert (await live.write(pa.RecordBatch.from_pylist([], schema=landing_rows([]).schema))).devices == 0

    asyncio.run(scenario())


@KINDS
def test_a_rebuild_during_which_everything_is_lost_sets_no_epoch(kind: str, request: pytest.FixtureRequest) -> None:
    async def scenario() -> None:
        async with opened(kind, request) as live:
            token = uuid4().hex
            await live.begin_rebuild(token)
            await lose_everything(live)
            assert not await live.end_rebuild(token)
            assert await live.epoch() is None
            await live.begin_rebuild(token)
            assert await live.end_rebuild(token)
            assert await live.epoch() == token
            assert not await live.end_rebuild(token)

    asyncio.run(scenario())


@KINDS
def test_what_is_marked_incomplete_is_so_and_no_rebuild_that_goes_on_ends(
    kind: str, request: pytest.FixtureRequest
) -> None:
    async def scenario() -> None:
        async with opened(kind, request) as live:
            first, second = uuid4().hex, uuid4().hex
            await live.begin_rebuild(first)
            assert await live.end_rebuild(first)
            await live.begin_rebuild(second)
            assert await live.rebuilding(second)
            await live.mark_incomplete()
            assert not await live.rebuilding(second)
            assert await live.epoch() is None
            assert not await live.end_rebuild(second)

    asyncio.run(scenario())


@KINDS
def test_a_rebuild_that_is_given_up_leaves_no_note(kind: str, request: pytest.FixtureRequest) -> None:
    async def scenario() -> None:
        async with opened(kind, request) as live:
            token, other = uuid4().hex, uuid4().hex
            await live.begin_rebuild(token)
            await live.begin_rebuild(other)
            await live.give_up_rebuild(token)
            assert (await live.rebuilding(token), await live.rebuilding(other)) == (False, True)
            assert not await live.end_rebuild(token)
            await live.give_up_rebuild(other)

    asyncio.run(scenario())


async def lose_everything(live: LiveState) -> None:
    """As a store does that comes back empty; of the shared Redis, what says that live state is complete."""
    if isinstance(live, MemoryLive):
        live.__init__()  # type: ignore[misc]
        return
    await live._redis.delete("eu:epoch", redis_rebuilds("eu"))  # type: ignore[attr-defined]
