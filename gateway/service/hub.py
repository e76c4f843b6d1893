"""What the processes of a region's gateway tell each other over Redis: sessions taken over, access that changed."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from contracts.names import redis_access_cas, redis_access_channel, redis_access_device

_AGAIN_S = 1.0
_SILENT_S = 5.0
MOST_WAITING = 10_000
"""Announcements that wait for Redis; older ones are dropped, and bounded ages do their work."""


class Notice(msgspec.Struct, omit_defaults=True):
    """One message. access: devices to ask the registry about; cas: the fleet CAs changed."""

    process: str = ""
    taken: str = ""
    began_ns: int = 0
    access: list[str] = []
    cas: bool = False


class Hub:
    """Publishes and hears notices, best effort: what is lost while Redis is away is found by age."""

    def __init__(self, url: str, region: str, process: str, hear: Callable[[Notice], None]) -> None:
        self.is_up = False
        self._channel = redis_access_channel(region)
        self._process = process
        self._hear = hear
        self._redis: redis.asyncio.Redis = redis.asyncio.Redis.from_url(
            url, socket_connect_timeout=_SILENT_S, socket_timeout=_SILENT_S, health_check_interval=30
        )
        self._waiting: asyncio.Queue[Notice] = asyncio.Queue(MOST_WAITING)

    def announce(self, device_id: str, began_ns: int) -> None:
        """A device began a session here."""
        if self._waiting.full():
            self._waiting.get_nowait()
        self._waiting.put_nowait(Notice(process=self._process, taken=device_id, began_ns=began_ns))

    async def run(self) -> None:
        """Publish and hear until cancelled."""
        try:
            await asyncio.gather(self._keep(self._listen), self._keep(self._publish))
        finally:
            with contextlib.suppress(RedisError, OSError):
                await self._redis.aclose()

    async def _keep(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await work()
            self.is_up = False
            await asyncio.sleep(_AGAIN_S)

    async def _listen(self) -> None:
        async with self._redis.pubsub() as heard:
            await heard.subscribe(self._channel)
            self.is_up = True
            while True:
                message = await heard.get_message(ignore_subscribe_messages=True, timeout=_SILENT_S / 2)
                if message is not None:
                    self._deliver(message["data"])

    async def _publish(self) -> None:
        while True:
            notice = await self._waiting.get()
            await self._redis.publish(self._channel, msgspec.json.encode(notice))

    def _deliver(self, data: bytes) -> None:
        with contextlib.suppress(msgspec.MsgspecError):
            notice = msgspec.json.decode(data, type=Notice)
            if notice.process != self._process or not notice.process:
                self._hear(notice)


def tell(url: str, region: str, devices: Sequence[str], *, cas: bool = False) -> bool:
    """Tell the gateway's processes that access changed, and have Redis forget what it was.

    False where Redis does not answer: they find out by age.
    """
    client = redis.Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2)
    notice = Notice(access=list(devices), cas=cas)
    stale = [redis_access_device(region, device_id) for device_id in devices]
    stale += [redis_access_cas(region)] if cas else []
    try:
        if stale:
            client.delete(*stale)
        client.publish(redis_access_channel(region), msgspec.json.encode(notice))
    except RedisError:
        return False
    finally:
        client.close()
    return True
