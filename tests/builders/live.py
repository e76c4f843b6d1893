"""Live states for tests: in memory, and the real Redis with a region's own user; and what one has to hold."""

import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.record import BAD_POSITION
from ingest.live import LiveState, MemoryLive, RedisLive
from ingest.live.protocol import LiveReport
from tests.builders.ingest import FIRST_SEQUENCE, landing_rows

KINDS = pytest.mark.parametrize("kind", ["memory", "redis"])
TRAIL = 5


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
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def write(live: LiveState, records: list[dict[str, Any]]) -> LiveReport:
    return await live.write(landing_rows(records))
