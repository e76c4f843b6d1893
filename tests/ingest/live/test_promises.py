"""The promises of LiveState about order, over memory and over the real Redis with a region's own user."""

import asyncio
import itertools
import json
import random
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.record import Flag
from tests.builders.ingest import ARRIVAL_MS
from tests.builders.live import KINDS, assert_holds, opened, placed, text, write

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
