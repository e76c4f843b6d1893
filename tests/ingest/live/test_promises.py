"""The promises of LiveState, over memory and over the real Redis with a region's own user."""

import asyncio
import contextlib
import itertools
import json
import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.names import redis_rebuilds
from contracts.record import BAD_POSITION, Flag
from ingest.live import LiveState, MemoryLive, RedisLive, rebuild
from ingest.live.protocol import LiveReport
from tests.builders.ingest import ARRIVAL_MS, FIRST_SEQUENCE, landing_rows

KINDS = pytest.mark.parametrize("kind", ["memory", "redis"])
TRAIL = 5
DAY_MS = 86_400_000


@contextlib.asynccontextmanager
async def opened(kind: str, request: pytest.FixtureRequest, trail_points: int = TRAIL) -> AsyncIterator[LiveState]:
    """A live state; devices of a test must have names of their own, as the real one is shared."""
    if kind == "memory":
        live: LiveState = MemoryLive(trail_points=trail_points)
    else:
        region = request.getfixturevalue("stack").settings("eu").model_copy(update={"trail_points": trail_points})
        live = RedisLive.of(region)
    try:
        yield live
    finally:
        await live.close()


def key(record: dict[str, Any]) -> tuple[int, int, int, int]:
    return (
        min(record["ts_ms"], record["arrival_ms"]), record["arrival_ms"], record.get("seq", 0), record.get("sub", 0)
    )  # fmt: skip


def placed(record: dict[str, Any]) -> bool:
    return record.get("lat") is not None and record.get("lon") is not None and not record["flags"] & BAD_POSITION


async def assert_holds(live: LiveState, records: list[dict[str, Any]], trail_points: int = TRAIL) -> None:
    """Live state is what the greatest order keys, and the newest points, of all records say."""
    for device in {record["device_id"] for record in records}:
        own = [record for record in records if record["device_id"] == device]
        newest = max(own, key=key)
        held = json.loads(await live.latest(device) or b"{}")
        assert held["arrival_ts"] == text(newest["arrival_ms"])
        assert (held["ts"], held["flags"]) == (text(newest["ts_ms"]), newest["flags"])
        assert (held.get("lat"), held.get("speed_kmh")) == (newest.get("lat"), newest.get("speed_kmh"))
        assert held["order"].endswith(f"{FIRST_SEQUENCE + newest.get('seq', 0):056d}{newest.get('sub', 0):06d}")
        good = [record for record in own if placed(record)]
        at = await live.position(device)
        on_map = [record for record in good if abs(record["lat"]) <= 85]
        if on_map:
            where = max(on_map, key=key)
            assert at == pytest.approx((where["lon"], where["lat"]), abs=1e-5)
        else:
            assert at is None
        points = sorted({(record["ts_ms"], record["lat"], record["lon"]) for record in good})[-trail_points:]
        trail = [json.loads(point) for point in await live.trail(device)]
        assert sorted(point["ts"] for point in trail) == [ts_ms for ts_ms, _, _ in points]
        assert await live.seen_ms(device) == max(record["arrival_ms"] for record in own)


def text(ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def write(live: LiveState, records: list[dict[str, Any]]) -> LiveReport:
    return await live.write(landing_rows(records))


RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "device_id": st.sampled_from(["a", "b"]),
            "ts_ms": st.integers(ARRIVAL_MS - 4, ARRIVAL_MS + 8),
            "arrival_ms": st.integers(ARRIVAL_MS, ARRIVAL_MS + 3),
            "seq": st.integers(0, 10**6).map(lambda n: n * 10**49),
            "sub": st.integers(0, 3),
            "lat": st.sampled_from([10.0, 20.5, -30.25, 89.0, None]),
            "lon": st.sampled_from([11.25, -170.0, 0.5, None]),
            "speed_kmh": st.sampled_from([None, 0.0, 80.25]),
            "flags": st.sampled_from([0, 0, 0, int(Flag.CLOCK_AHEAD), int(Flag.NULL_ISLAND)]),
        }
    ),
    min_size=3,
    max_size=25,
    # A place in a stream holds one record.
    unique_by=lambda record: (record["seq"], record["sub"]),
)


def one_position_a_time(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One good position a device and time: what a trail keeps of several at its end is a matter of their text."""
    seen: set[tuple[str, int]] = set()
    out = []
    for record in records:
        at = (record["device_id"], record["ts_ms"])
        if placed(record) and at in seen:
            record = record | {"lat": None}  # noqa: PLW2901
        elif placed(record):
            seen.add(at)
        out.append(record)
    return out


def scattered(chance: random.Random, records: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The records in any order, some twice, in batches of any size."""
    mixed = records + chance.choices(records, k=chance.randrange(len(records) + 1))
    chance.shuffle(mixed)
    batches = []
    while mixed:
        size = chance.randint(1, len(mixed))
        batches.append(mixed[:size])
        mixed = mixed[size:]
    return batches


@KINDS
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RECORDS, st.integers(0, 2**32))
def test_whatever_the_order_batching_and_repetition_the_greatest_key_wins(
    kind: str, request: pytest.FixtureRequest, records: list[dict[str, Any]], seed: int
) -> None:
    run = uuid4().hex
    named = one_position_a_time([record | {"device_id": record["device_id"] + run} for record in records])

    async def scenario() -> None:
        async with opened(kind, request) as live:
            for batch in scattered(random.Random(seed), named):
                await write(live, batch)
            await assert_holds(live, named)

    asyncio.run(scenario())


@KINDS
def test_every_order_of_a_place_and_later_records_without_one_ends_the_same(
    kind: str, request: pytest.FixtureRequest
) -> None:
    def record(device: str, number: int, **fields: Any) -> dict[str, Any]:
        at = ARRIVAL_MS + number
        return {"device_id": device, "ts_ms": at, "arrival_ms": at, "seq": number, "flags": 0, **fields}

    async def scenario() -> None:
        async with opened(kind, request) as live:
            for order in itertools.permutations(range(4)):
                device = uuid4().hex
                records = [
                    record(device, 0, lat=1.0, lon=2.0),
                    record(device, 1, lat=3.0, lon=4.0),
                    record(device, 2, lat=0.0, lon=0.0, flags=int(Flag.NULL_ISLAND)),
                    record(device, 3),
                ]
                for place in order:
                    await write(live, [records[place]])
                await assert_holds(live, records)

    asyncio.run(scenario())


@KINDS
def test_a_fast_clock_does_not_block_later_truth(kind: str, request: pytest.FixtureRequest) -> None:
    device = uuid4().hex
    ahead = {
        "device_id": device,
        "ts_ms": ARRIVAL_MS + 299_000,
        "arrival_ms": ARRIVAL_MS,
        "flags": int(Flag.CLOCK_AHEAD),
    }
    later = {"device_id": device, "ts_ms": ARRIVAL_MS + 9_000, "arrival_ms": ARRIVAL_MS + 10_000, "seq": 1, "flags": 0}

    async def scenario() -> None:
        async with opened(kind, request) as live:
            await write(live, [ahead])
            assert (await write(live, [later])).updated == 1
            assert json.loads(await live.latest(device) or b"")["ts"] == text(ARRIVAL_MS + 9_000)

    asyncio.run(scenario())


@KINDS
def test_an_equal_record_changes_nothing(kind: str, request: pytest.FixtureRequest) -> None:
    record = {
        "device_id": uuid4().hex,
        "ts_ms": ARRIVAL_MS,
        "arrival_ms": ARRIVAL_MS,
        "lat": 1.0,
        "lon": 2.0,
        "flags": 0,
    }

    async def scenario() -> None:
        async with opened(kind, request) as live:
            first, second = await write(live, [record]), await write(live, [record])
            assert (first.devices, first.updated, second.updated) == (1, 1, 0)
            assert len(await live.trail(record["device_id"])) == 1

    asyncio.run(scenario())


@KINDS
def test_latest_holds_every_field_of_the_contract(kind: str, request: pytest.FixtureRequest) -> None:
    fields = {
        "event_id": 'e"1\\', "lat": 48.123456789, "lon": -11.5, "speed_kmh": 50.0, "engine_on": False,
        "fault_codes": ["P0420", "ü"], "signals": [("a", 1.5)], "attributes": [("route", '7"')],
    }  # fmt: skip
    record = {"device_id": uuid4().hex, "ts_ms": ARRIVAL_MS, "arrival_ms": ARRIVAL_MS + 1, "flags": 8, **fields}

    async def scenario() -> None:
        async with opened(kind, request) as live:
            await write(live, [record])
            held = json.loads(await live.latest(record["device_id"]) or b"")
            assert held == {
                "order": held["order"], "position_order": held["order"], "device_id": record["device_id"],
                "ts": "2026-11-23T08:00:00.000Z", "arrival_ts": "2026-11-23T08:00:00.001Z", "flags": 8,
                "record_id": 'e:e"1\\', **fields, "signals": {"a": 1.5}, "attributes": {"route": '7"'},
            }  # fmt: skip

    asyncio.run(scenario())


@KINDS
@pytest.mark.parametrize("points", [0, 3])
def test_a_trail_takes_late_points_and_keeps_the_newest(kind: str, request: pytest.FixtureRequest, points: int) -> None:
    device = uuid4().hex
    records = [
        {
            "device_id": device,
            "ts_ms": ARRIVAL_MS - back,
            "arrival_ms": ARRIVAL_MS + i,
            "lat": 1.0,
            "lon": 2.0,
            "flags": 0,
        }
        for i, back in enumerate([50, 10, 40, 20, 30])
    ]

    async def scenario() -> None:
        async with opened(kind, request, points) as live:
            for record in records:
                await write(live, [record])
            held = [json.loads(point)["ts"] for point in await live.trail(device)]
            assert held == [ARRIVAL_MS - back for back in (30, 20, 10)][: points or None] * bool(points)

    asyncio.run(scenario())


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
def test_a_rebuild_goes_through_the_guard_and_sets_the_epoch_last(kind: str, request: pytest.FixtureRequest) -> None:
    device = uuid4().hex
    old, new = (
        {"device_id": device, "ts_ms": ARRIVAL_MS + i, "arrival_ms": ARRIVAL_MS + i, "seq": i, "flags": 0}
        for i in (0, 1)
    )

    def broken() -> Any:
        yield landing_rows([old])
        raise OSError("history went away")

    async def scenario() -> None:
        async with opened(kind, request) as live:
            if kind == "redis":
                await live._redis.delete("eu:epoch")  # type: ignore[attr-defined]
            assert (await write(live, [new])).complete is False
            with pytest.raises(OSError, match="went away"):
                await rebuild(live, broken(), "epoch-1")
            assert await live.epoch() is None
            assert await rebuild(live, iter([landing_rows([old])]), "epoch-1") == 1
            assert await live.epoch() == "epoch-1"
            assert json.loads(await live.latest(device) or b"")["ts"] == text(new["ts_ms"])
            assert (await write(live, [new])).complete is True

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


async def lose_everything(live: LiveState) -> None:
    """As a store does that comes back empty; of the shared Redis, what says that live state is complete."""
    if isinstance(live, MemoryLive):
        live.__init__()  # type: ignore[misc]
        return
    await live._redis.delete("eu:epoch", redis_rebuilds("eu"))  # type: ignore[attr-defined]
