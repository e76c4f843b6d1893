"""What the registry said of devices, in Redis: processes of the gateway share it while Postgres is away.

Each value is authenticated by the gateway's own key: whoever else may write to Redis cannot let anybody in.
"""

import asyncio
import contextlib
import hmac
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import cast

import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from contracts.names import redis_access_cas, redis_access_device
from gateway.identity.model import FleetCa, KnownDevice

MOST_A_WRITE = 500
ANSWER_WITHIN_S = 1.0
_MAC_BYTES = 32


class Kept(msgspec.Struct):
    """One value: what was read, and when, in seconds since 1970."""

    read_at_s: float
    device: KnownDevice | None = None
    cas: list[FleetCa] = []


class SharedMemory:
    """Devices and CAs as some process read them last.

    Promises
    - What it returns was read from the registry at most `stale_s` ago, by a process with the same key.
    - Where Redis does not answer it knows nothing, within a second. Nothing waits for what it writes.
    """

    def __init__(self, url: str, region: str, key: str, *, stale_s: float) -> None:
        self._region, self._key, self._stale_s = region, key.encode(), stale_s
        self._redis: redis.asyncio.Redis = redis.asyncio.Redis.from_url(
            url, socket_connect_timeout=ANSWER_WITHIN_S, socket_timeout=ANSWER_WITHIN_S
        )
        self._writes: set[asyncio.Task[None]] = set()

    async def find(self, device_id: str) -> tuple[KnownDevice, float] | None:
        """The device, and how many seconds ago it was read."""
        kept = await self._read(redis_access_device(self._region, device_id))
        if kept is None or kept.device is None:
            return None
        return kept.device, max(0.0, time.time() - kept.read_at_s)

    async def cas(self) -> list[FleetCa] | None:
        """The fleet CAs."""
        kept = await self._read(redis_access_cas(self._region))
        return None if kept is None else kept.cas

    def keep(self, devices: Mapping[str, KnownDevice]) -> None:
        """Write what the registry said just now."""
        now = time.time()
        values = {
            redis_access_device(self._region, device_id): Kept(now, device) for device_id, device in devices.items()
        }
        self._write_soon(values)

    def keep_cas(self, cas: list[FleetCa]) -> None:
        """Write the CAs as the registry has them now."""
        self._write_soon({redis_access_cas(self._region): Kept(time.time(), cas=cas)})

    async def close(self) -> None:
        """Let go of the connections."""
        for task in self._writes:
            task.cancel()
        with contextlib.suppress(RedisError, OSError):
            await self._redis.aclose()

    def _write_soon(self, values: Mapping[str, Kept]) -> None:
        if not values or len(self._writes) >= MOST_A_WRITE:
            return
        task = asyncio.get_running_loop().create_task(self._write(values))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _write(self, values: Mapping[str, Kept]) -> None:
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with self._redis.pipeline(transaction=False) as pipeline:
                for name, kept in values.items():
                    body = msgspec.json.encode(kept)
                    pipeline.set(name, self._mac(name, body) + body, ex=max(1, int(self._stale_s)))
                await pipeline.execute()

    async def _read(self, name: str) -> Kept | None:
        try:
            value = cast("bytes | None", await self._redis.get(name))
        except (RedisError, OSError, TimeoutError):
            return None
        if value is None or not hmac.compare_digest(value[:_MAC_BYTES], self._mac(name, value[_MAC_BYTES:])):
            return None
        try:
            kept = msgspec.json.decode(value[_MAC_BYTES:], type=Kept)
        except msgspec.MsgspecError:  # of another version
            return None
        return kept if time.time() - kept.read_at_s < self._stale_s else None

    def _mac(self, name: str, body: bytes) -> bytes:
        return hmac.digest(self._key, b"access\0" + name.encode() + b"\0" + body, sha256)
