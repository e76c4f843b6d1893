"""What the demo shows of one region: live state, and a device's day as a map.

Runs as a process of that region, `python -m cli.demo.highlights FILE DEVICE DAY`; prints one JSON document.
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

LIVE_SHOWN, REPORTED_LAST = 5, 200
_WRONG = BAD_POSITION | Flag.IMPOSSIBLE_SPEED


def live_sample(settings: RegionSettings) -> dict[str, Any]:
    """The fastest of the devices that reported last, read as any Redis client would."""
    client = redis.Redis.from_url(settings.redis_url.get_secret_value(), decode_responses=True)
    newest = cast("list[str]", client.zrevrange(redis_seen(settings.region), 0, REPORTED_LAST - 1))
    latest = client.mget([redis_latest(settings.region, device) for device in newest]) if newest else []
    records = [json.loads(record) for record in latest if record]
    return {
        "devices": client.zcard(redis_seen(settings.region)),
        "key": redis_latest(settings.region, "*"),
        "newest": fastest(records),
    }


def fastest(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The fastest records that have a position, neither it nor the speed being flagged as wrong."""
    valid = [record for record in records if "lat" in record and not record["flags"] & _WRONG]
    return sorted(valid, key=_speed, reverse=True)[:LIVE_SHOWN]


def _speed(record: dict[str, Any]) -> float:
    return float(record.get("speed_kmh") or 0)


def main(file: str, device: str, day: str) -> None:
    """Write the map to `file` and print the document."""
    settings = RegionSettings.load()
    shown = device_day(settings, device, date.fromisoformat(day))
    Path(file).write_text(day_map(shown), encoding="utf-8")
    document = {
        "region": settings.region,
        "live": live_sample(settings),
        "device": device,
        "day": day,
        "trail": shown.trail.summary(),
        "trips": len(shown.trips),
        "map": str(Path(file).resolve()),
    }
    print(json.dumps(document))  # noqa: T201 - the process's output


if __name__ == "__main__":
    main(*sys.argv[1:4])
