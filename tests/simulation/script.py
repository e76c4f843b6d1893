"""Live state as in production: rows encoded by its code, write.lua run by a real server. Only the client is another, as
a simulated cluster has neither threads nor a selector: a call blocks, and takes no virtual time."""

import asyncio
import atexit
from contextlib import ExitStack
from functools import cache
from typing import Any

import pyarrow as pa
import redis

from contracts.names import redis_epoch, redis_geo, redis_latest, redis_rebuilds, redis_seen, redis_writes
from ingest.live import LiveReport
from ingest.live import redis as production
from ingest.live.pipeline import Reply
from ingest.live.resp import Transaction, Writer, encode
from ingest.live.selection import select_newest
from tests.builders.valkey_server import valkey

WRITE = production._WRITE
_REGION, _TRAIL = "sim", 5
_ORDER = slice(10, 100)
"""Where a value of `latest` has its order key."""


@cache
def _server() -> redis.Redis:
    """This process' own server, until it ends."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(valkey())


class Scripted:
    """The server of one history, as an onlooker sees it."""

    def __init__(self, script: str) -> None:
        self._redis = _server()
        loaded = self._redis.script_load(script)
        self._sha = loaded if isinstance(loaded, bytes) else loaded.encode()
        self.wipe()

    def client(self, name: str) -> "ScriptClient":
        """What a worker talks to."""
        return ScriptClient(self._redis, self._sha, name)

    @property
    def orders(self) -> dict[str, str]:
        """Order key of the record that each device shows."""
        prefix = redis_latest(_REGION, "")
        keys = [key.decode() for key in self._redis.keys(f"{prefix}*")]
        values = self._redis.mget(keys) if keys else []
        return {key[len(prefix) :]: value[_ORDER].decode() for key, value in zip(keys, values, strict=True)}

    def position(self, device: str) -> tuple[float, float] | None:
        """Longitude and latitude."""
        (found,) = self._redis.geopos(redis_geo(_REGION), device)
        return (float(found[0]), float(found[1])) if found else None

    def seen_ms(self, device: str) -> int | None:
        """Latest arrival."""
        score = self._redis.zscore(redis_seen(_REGION), device)
        return None if score is None else int(score)

    @property
    def _epoch(self) -> bytes | None:
        return self._redis.get(redis_epoch(_REGION))

    def wipe(self) -> None:
        """All is lost."""
        self._redis.flushdb()


class ScriptClient:
    """A LiveState: one worker's connection, with its count of writes."""

    def __init__(self, server: redis.Redis, sha: bytes, name: str) -> None:
        self._redis = server
        self._sha = sha
        self._writer = Writer(name)

    async def write(self, rows: pa.RecordBatch) -> LiveReport:
        """As RedisLive's."""
        await asyncio.sleep(0)
        if not rows.num_rows:
            return LiveReport()
        selection = select_newest(rows, _TRAIL)
        ready = encode(_REGION, rows, selection, _TRAIL)
        replies = [self._run(transaction) for transaction in ready.transactions(self._sha, self._writer)]
        self._writer.acknowledged = max(self._writer.acknowledged, *(reply.writes for reply in replies))
        return LiveReport(len(selection.device_ids), sum(reply.updated for reply in replies), len(selection.points))

    async def sweep(self, now_ms: int) -> int:
        """No history is as long as devices stay."""
        return 0

    async def epoch(self) -> str | None:
        """As RedisLive's."""
        await asyncio.sleep(0)
        held: bytes | None = self._redis.get(redis_epoch(_REGION))
        return None if held is None else held.decode()

    async def mark_incomplete(self) -> None:
        """As RedisLive's."""
        await asyncio.sleep(0)
        self._redis.delete(redis_epoch(_REGION), redis_rebuilds(_REGION))

    async def begin_rebuild(self, token: str) -> None:
        """As RedisLive's."""
        await asyncio.sleep(0)
        self._redis.hset(redis_rebuilds(_REGION), token, "")

    async def rebuilding(self, token: str) -> bool:
        """As RedisLive's."""
        await asyncio.sleep(0)
        return bool(self._redis.hexists(redis_rebuilds(_REGION), token))

    async def give_up_rebuild(self, token: str) -> None:
        """As RedisLive's."""
        await asyncio.sleep(0)
        self._redis.hdel(redis_rebuilds(_REGION), token)

    async def end_rebuild(self, token: str) -> bool:
        """As RedisLive's."""
        await asyncio.sleep(0)
        keys = [redis_rebuilds(_REGION), redis_epoch(_REGION), redis_writes(_REGION, self._writer.name)]
        return bool(self._redis.eval(production._END_REBUILD, 3, *keys, token, str(self._writer.acknowledged)))

    async def close(self) -> None:
        """The server outlives its clients."""

    def _run(self, transaction: Transaction) -> Reply:
        connection = self._redis.connection_pool.get_connection()
        try:
            connection.send_packed_command(transaction.buffers)
            for _ in range(1 + transaction.queued):
                connection.read_response()
            results: list[Any] = connection.read_response()
        finally:
            self._redis.connection_pool.release(connection)
        for result in results:
            if isinstance(result, Exception):
                raise result
        return Reply(*results[-1])
