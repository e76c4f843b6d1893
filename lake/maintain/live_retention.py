"""Retention of live state: points of a trail, and newest records, whose business day is past its time."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import redis

from contracts.names import redis_changed, redis_geo, redis_latest, redis_seen, redis_trail
from contracts.retention import Expiry, Standing
from contracts.settings import RegionSettings
from lake.derive.business_days import midnight
from lake.live_state import live_client

_AT_ONCE = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORGET = """
if redis.call('GET', KEYS[4]) ~= ARGV[1] then return 0 end
redis.call('UNLINK', KEYS[4], KEYS[5])
redis.call('ZREM', KEYS[1], ARGV[3])
redis.call('ZREM', KEYS[2], ARGV[3])
if ARGV[2] ~= '0' then redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[2], '*', 'ids', ARGV[3]) end
return 1
"""
"""Forgets a device whose newest record is still the one that was looked at."""


def overdue_live(settings: RegionSettings, due: Expiry) -> dict[str, Standing]:
    """Devices of live state, and how many points and newest records are past their time."""
    with live_client(settings) as client:
        devices = int(client.zcard(redis_seen(settings.region)))
    overdue = _each(settings, due, remove=False)
    return {name: Standing(rows=devices, overdue=count) for name, count in overdue.items()}


def remove_overdue_live(settings: RegionSettings, due: Expiry) -> dict[str, int]:
    """Remove them. A device that reports meanwhile stays."""
    return _each(settings, due, remove=True)


def _each(settings: RegionSettings, due: Expiry, *, remove: bool) -> dict[str, int]:
    starts = _Starts(settings, due)
    points = newest = 0
    with live_client(settings) as client:
        for devices in _devices(client, settings.region):
            lows = {device: low for device in devices if (low := starts.of(device)) is not None}
            points += sum(_points(client, settings.region, lows, remove=remove))
            stale = _stale(client, settings.region, lows)
            newest += _forget(client, settings, stale) if remove else len(stale)
    return {"live.trail": points, "live.latest": newest}


class _Starts:
    """The instant (epoch ms) before which nothing of a device may be in live state; None for one that is exempt."""

    def __init__(self, settings: RegionSettings, due: Expiry) -> None:
        self._zone, self._exempt = settings.row.zone, due.exempt
        self._region = self._ms(due.before)
        self._own: dict[str, date] = {}
        for span in due.spans:
            self._own[span.device_id] = max(span.before, self._own.get(span.device_id, span.before))

    def of(self, device_id: str) -> int | None:
        own = self._own.get(device_id)
        if own is not None:
            return self._ms(own)
        return None if device_id in self._exempt else self._region

    def _ms(self, day: date) -> int:
        return (midnight(day, self._zone) - _EPOCH) // timedelta(milliseconds=1)


def _devices(client: "redis.Redis", region: str) -> Iterator[list[str]]:
    """Devices of live state, some at a time."""
    some: list[str] = []
    for name, _ in client.zscan_iter(redis_seen(region), count=_AT_ONCE):
        some.append(name.decode())
        if len(some) >= _AT_ONCE:
            yield some
            some = []
    yield some


def _points(client: "redis.Redis", region: str, lows: dict[str, int], *, remove: bool) -> list[int]:
    with client.pipeline(transaction=False) as pipe:
        for device, low in lows.items():
            ask = pipe.zremrangebyscore if remove else pipe.zcount
            ask(redis_trail(region, device), "-inf", f"({low}")
        return [int(count) for count in pipe.execute()]


def _stale(client: "redis.Redis", region: str, lows: dict[str, int]) -> dict[str, bytes]:
    """Newest records that are past their time, as they are held."""
    held: list[Any] = client.mget([redis_latest(region, device) for device in lows]) if lows else []
    return {
        device: document
        for (device, low), document in zip(lows.items(), held, strict=True)
        if document is not None and _ts_ms(document) < low
    }


def _ts_ms(document: bytes) -> int:
    ts = msgspec.json.decode(document)["ts"]
    return ts if isinstance(ts, int) else (datetime.fromisoformat(ts) - _EPOCH) // timedelta(milliseconds=1)


def _forget(client: "redis.Redis", settings: RegionSettings, stale: dict[str, bytes]) -> int:
    region, done = settings.region, 0
    for device, document in stale.items():
        keys = [redis_geo(region), redis_seen(region), redis_changed(region)]
        keys += [redis_latest(region, device), redis_trail(region, device)]
        done += int(client.eval(_FORGET, len(keys), *keys, document, str(settings.live_changes), device))
    return done
