"""What the demo shows of one region, seen in a process of that region: live state, and a device's day as a map.

Started as `python -m cli.demo.highlights FILE DEVICE DAY`; prints one JSON document.
"""

import json
import sys
from datetime import date
from pathlib import Path
from typing import Any, cast

import redis

from contracts.names import redis_latest, redis_seen
from contracts.record import BAD_POSITION, Flag
from contracts.settings import RegionSettings
from lake.trail.day_map import day_map
from lake.trail.day_sources import device_day

LIVE_SHOWN, HEARD_LAST = 5, 200
_NOT_BELIEVED = BAD_POSITION | Flag.IMPOSSIBLE_SPEED


def live_sample(settings: RegionSettings) -> dict[str, Any]:
    """The fastest of the devices heard from last, read as any redis client would."""
    client = redis.Redis.from_url(settings.redis_url.get_secret_value(), decode_responses=True)
    newest = cast("list[str]", client.zrevrange(redis_seen(settings.region), 0, HEARD_LAST - 1))
    latest = client.mget([redis_latest(settings.region, device) for device in newest]) if newest else []
    records = [json.loads(record) for record in latest if record]
    return {
        "devices": client.zcard(redis_seen(settings.region)),
        "key": redis_latest(settings.region, "*"),
        "newest": fastest(records),
    }


def fastest(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those to show: with a position, and neither that nor the speed flagged as wrong."""
    believed = [record for record in records if "lat" in record and not record["flags"] & _NOT_BELIEVED]
    return sorted(believed, key=_speed, reverse=True)[:LIVE_SHOWN]


def _speed(record: dict[str, Any]) -> float:
    return float(record.get("speed_kmh") or 0)


def main(file: str, device: str, day: str) -> None:
    """Write the map and print what there is to see."""
    settings = RegionSettings.load()
    seen = device_day(settings, device, date.fromisoformat(day))
    Path(file).write_text(day_map(seen), encoding="utf-8")
    sights = {
        "region": settings.region,
        "live": live_sample(settings),
        "device": device,
        "day": day,
        "trail": seen.trail.summary(),
        "trips": len(seen.trips),
        "map": str(Path(file).resolve()),
    }
    print(json.dumps(sights))  # noqa: T201 - this is the process's answer


if __name__ == "__main__":
    main(*sys.argv[1:4])
