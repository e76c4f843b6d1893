"""What Redis holds of a device's newest records, as the consumer writes it there."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest
import redis

from ingest.live import RedisLive
from lake.trail.from_live import live_rows
from lake.trail.wanted import Wanted
from tests.builders.ingest import ARRIVAL_MS, landing_rows

NOW = datetime.fromtimestamp(ARRIVAL_MS / 1000, UTC)


def live(stack: Any, records: list[dict[str, Any]]) -> pa.Table:
    """The records of one device, written by the consumer's code and read by the spot query's."""
    settings, device = stack.settings("us"), uuid4().hex
    rows = [{"device_id": device, "arrival_ms": ARRIVAL_MS + seq, "seq": seq} | row for seq, row in enumerate(records)]

    async def written() -> None:
        state = RedisLive.of(settings)
        await state.write(landing_rows(rows))
        await state.close()

    asyncio.run(written())
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        return live_rows(client, "us", Wanted((device,), NOW - timedelta(hours=1), NOW + timedelta(hours=1)))


def at(ts_ms: int, lat: float, **fields: Any) -> dict[str, Any]:
    return {"ts_ms": ts_ms, "lat": lat, "lon": 11.123456789} | fields


def test_two_records_of_one_moment_are_two(stack: Any) -> None:
    found = live(stack, [at(ARRIVAL_MS - 9, 48.1), at(ARRIVAL_MS - 9, 48.2), at(ARRIVAL_MS, 48.3)])
    assert sorted(found.column("lat").to_pylist()) == [48.1, 48.2, 48.3]


@pytest.mark.parametrize("speed", [None, 30.005, 1e6], ids=["unknown", "rounded", "impossible"])
def test_the_newest_record_stands_for_its_own_point_and_no_other(stack: Any, speed: float | None) -> None:
    newest = at(ARRIVAL_MS, 48.123456789, speed_kmh=speed, event_id="newest")
    found = live(stack, [at(ARRIVAL_MS, 48.123456789, speed_kmh=10.0), at(ARRIVAL_MS, 48.2, speed_kmh=speed), newest])
    assert found.column("event_id").to_pylist().count("newest") == 1
    assert sorted(found.column("lat").to_pylist()) == [48.123456789, 48.1234568, 48.2]
    assert 10.0 in found.column("speed_kmh").to_pylist()


def test_a_newest_record_without_a_place_is_one_more(stack: Any) -> None:
    found = live(stack, [at(ARRIVAL_MS, 48.1), {"ts_ms": ARRIVAL_MS, "engine_on": True}])
    assert found.num_rows == 2
    assert sorted(found.column("engine_on").to_pylist(), key=str) == [None, True]
