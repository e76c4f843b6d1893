"""Live state in Redis. Adapter of contracts.erasable.

A device that is meant in part loses its trail points of that time, and goes wholly where its newest record is of it:
live state has nothing older to show. The append-only file keeps commands, deleting ones too, so it is written anew.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import msgspec
import redis
from redis.exceptions import RedisError, ResponseError

from contracts.erasable import Counts, Portion, Remains, Scope, total
from contracts.errors import StoreUnavailable
from contracts.names import redis_changed, redis_geo, redis_latest, redis_seen, redis_trail
from contracts.settings import RegionSettings
from ingest.live.credentials import AskedFor, elasticache_login, without_login

_FORGET = files("ingest.live").joinpath("forget.lua").read_text(encoding="utf-8")
_REWRITE = """
local gone = {}
for _, id in ipairs(ARGV) do gone[id] = true end
local entries = redis.call('XRANGE', KEYS[1], '-', '+')
redis.call('DEL', KEYS[1])
for _, entry in ipairs(entries) do
    if not gone[entry[1]] then redis.call('XADD', KEYS[1], entry[1], unpack(entry[2])) end
end
"""
"""Entries keep their ids: followers go on where they were."""
_AT_ONCE = 500
FOLLOWERS_S = 1.0
"""How long followers of the stream of changes have to hear that a device is forgotten, before its name goes there."""
_REWRITE_S = 600.0


class LiveState:
    """latest, trail, geo, seen, and the stream of changes."""

    name = "redis"
    stores = tuple(f"redis:{family}" for family in ("latest", "trail", "geo", "seen", "changed"))

    def __init__(self, settings: RegionSettings) -> None:
        self._settings, self._region = settings, settings.region
        self._rewritable = True

    def count(self, scope: Scope) -> Counts:
        """Keys, members, points and entries."""
        found: Counter[str] = Counter(dict.fromkeys(self.stores, 0))
        with self._client() as client:
            for portion in scope.portions:
                found.update(self._counted(client, portion))
            found["redis:changed"] = sum(1 for _ in self._changes(client, scope))
        return found

    def search(self, scope: Scope) -> Counts:
        """The same: keys are named by device, and what no key of theirs holds names no device."""
        return self.count(scope)

    def erase(self, scope: Scope) -> Counts:
        """Delete, tell followers, and write the append-only file anew."""
        found = self.count(scope)
        with self._client() as client:
            gone = list(scope.whole_devices)
            for portion in scope.ranges:
                client.zremrangebyscore(redis_trail(self._region, portion.device_id), *_scores(portion))
                if self._newest_is_meant(client, portion):
                    gone.append(portion.device_id)
            for start in range(0, len(gone), _AT_ONCE):
                self._forget(client, gone[start : start + _AT_ONCE])
            if gone and total(found):
                time.sleep(FOLLOWERS_S)
            self._rewrite_changes(client, scope)
            self._rewrite_file(client)
        return found

    def expires(self, now: datetime) -> list[Remains]:
        """Snapshots of the cache, and the file where the role may not have it written anew."""
        until = now + timedelta(days=self._settings.backup_keep_days)
        remains = [Remains("snapshots of Redis", until, "kept FLEETLAKE_BACKUP_KEEP_DAYS days")]
        if not self._rewritable:
            remains.append(Remains("Redis' append-only file", until, "its user may not call BGREWRITEAOF"))
        return remains

    def _counted(self, client: "redis.Redis", portion: Portion) -> Counts:
        region, device = self._region, portion.device_id
        points = client.zcount(redis_trail(region, device), *_scores(portion))
        if not portion.whole and not self._newest_is_meant(client, portion):
            return {"redis:trail": _number(points)}
        return {
            "redis:latest": _number(client.exists(redis_latest(region, device))),
            "redis:trail": _number(points),
            "redis:geo": int(_first(client.geopos(redis_geo(region), device)) is not None),
            "redis:seen": int(client.zscore(redis_seen(region), device) is not None),
        }

    def _newest_is_meant(self, client: "redis.Redis", portion: Portion) -> bool:
        held: Any = client.get(redis_latest(self._region, portion.device_id))
        if held is None:
            return False
        at = datetime.fromisoformat(msgspec.json.decode(held)["ts"])
        return portion.touches(at, at)

    def _changes(self, client: "redis.Redis", scope: Scope) -> Iterator[Any]:
        """Entries of the stream that name one of the devices; of those meant in part, none says when it was."""
        wanted = {device.encode() for device in scope.whole_devices}
        entries: Any = client.xrange(redis_changed(self._region)) if wanted else []
        for entry, fields in entries:
            if not wanted.isdisjoint(fields.get(b"ids", b"").split(b" ")):
                yield entry

    def _rewrite_changes(self, client: "redis.Redis", scope: Scope) -> None:
        """The stream without these entries: XDEL would mark them and keep their bytes."""
        gone = {_id(entry) for entry in self._changes(client, scope)}
        if gone:
            client.eval(_REWRITE, 1, redis_changed(self._region), *sorted(gone))

    def _forget(self, client: "redis.Redis", devices: list[str]) -> None:
        keys = [redis_geo(self._region), redis_seen(self._region), redis_changed(self._region)]
        for device in devices:
            keys += [redis_latest(self._region, device), redis_trail(self._region, device)]
        client.eval(_FORGET, len(keys), *keys, "", str(self._settings.live_changes), *devices)

    def _rewrite_file(self, client: "redis.Redis") -> None:
        about: Any = client.info("persistence")
        if not about.get("aof_enabled"):
            return
        # One that runs already may have begun before the keys were deleted.
        self._until_written(client)
        try:
            client.bgrewriteaof()
        except ResponseError:
            self._rewritable = False
            return
        self._until_written(client)

    def _until_written(self, client: "redis.Redis") -> None:
        deadline = time.monotonic() + _REWRITE_S
        while True:
            about: Any = client.info("persistence")
            if not about["aof_rewrite_in_progress"] and not about.get("aof_rewrite_scheduled"):
                return
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"Redis of region {self._region} still writes its append-only file; try later")
            time.sleep(0.05)

    @contextmanager
    def _client(self) -> Iterator["redis.Redis"]:
        url, cache = self._settings.redis_url.get_secret_value(), self._settings.redis_iam_cache
        options: dict[str, Any] = {}
        if cache is not None:
            login = elasticache_login(urlsplit(url).username or "", cache, self._settings.row.aws_region)
            url, options = without_login(url), {"credential_provider": AskedFor(login)}
        client = redis.Redis.from_url(url, socket_timeout=30, socket_connect_timeout=5, **options)
        try:
            with client:
                yield client
        except RedisError as error:
            text = f"Redis of region {self._region} does not do what an erasure asks ({type(error).__name__})"
            raise StoreUnavailable(text) from None


def _scores(portion: Portion) -> tuple[str, str]:
    start = "-inf" if portion.start is None else str(int(portion.start.timestamp() * 1000))
    return start, "+inf" if portion.end is None else f"({int(portion.end.timestamp() * 1000)}"


def _id(entry: Any) -> str:
    return entry.decode() if isinstance(entry, bytes) else str(entry)


def _number(answer: Any) -> int:
    return int(answer)


def _first(answer: Any) -> Any:
    return answer[0] if answer else None
