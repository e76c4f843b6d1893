"""Live state in Redis, written by transactions that end with a script, so that no device goes back to an older record.

Keys, with R the region: `R:latest:{device}` (JSON of values.latest_struct), `R:trail:{device}` (sorted set by time,
members are JSON of values.Point), `R:geo`, `R:seen` (sorted set by arrival), `R:changed` (capped stream: the ids that
each write changed, for those who follow), `R:epoch`, `R:rebuilds`, and `R:writes:{writer}` (a counter). A server that
restarts without its last writes has a lower counter than the writer expects: the script then deletes `R:epoch`, and
live state is rebuilt. The order keys that the script compares are the first two fields of the JSON, of fixed width, so
they cannot be lost without the value that they belong to.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pyarrow as pa
import structlog
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, NoScriptError, RedisError

from contracts.errors import RecordsRefused, SinkUnavailable
from contracts.names import (
    redis_changed,
    redis_epoch,
    redis_geo,
    redis_latest,
    redis_rebuilds,
    redis_seen,
    redis_trail,
    redis_writes,
)
from contracts.settings import RegionSettings
from ingest.live.credentials import AskedFor, Login, elasticache_login, without_login
from ingest.live.errors import explanation, rejects_rows
from ingest.live.fitness import Fitness, fitness_of
from ingest.live.pipeline import ErrorReply, Reply, send_and_count, send_and_parse
from ingest.live.protocol import LiveReport
from ingest.live.resp import EncodedRows, Writer, encode
from ingest.live.selection import Selection, select_newest
from ingest.suppression import NoSuppression, Suppression, accepted_rows

_log = structlog.get_logger(__name__)
_WRITE = files("ingest.live").joinpath("write.lua").read_text(encoding="utf-8")
_FORGET = files("ingest.live").joinpath("forget.lua").read_text(encoding="utf-8")
_END_REBUILD = files("ingest.live").joinpath("end_rebuild.lua").read_text(encoding="utf-8")
_BYTES_AT_ONCE = 64 * 1024 * 1024
"""Decoded bytes that are encoded together; keeps buffers far below Arrow's limit of 2 GiB."""
_SWEPT_AT_ONCE = 500
_DAY_MS = 86_400_000
_REBUILT_WITHIN_S = 7 * 86_400
CHANGES = 1_000
"""Entries that the stream of changes keeps: some seconds of a full load, and 8 MB."""
_LOOK_EVERY_S = 60.0
"""How often the server is asked whether it is still fit: its settings can be changed at any time."""


class RedisLive:
    """A LiveState in Redis.

    Promise: nothing is written to a server that could lose a device's newest record unnoticed, or that is in cluster
    mode (a script touches keys of several slots): SinkUnavailable says what to change, and the next write looks again.
    """

    def __init__(
        self,
        url: str,
        region: str,
        *,
        trail_points: int = 100,
        unseen_days: int = 30,
        changes: int = CHANGES,
        timeout_s: float = 10,
        login: Callable[[], Login] | None = None,
        suppression: Suppression | None = None,
    ) -> None:
        """changes: entries that `R:changed` keeps, 0 for none. login: gives user and password for each new connection,
        in place of those in `url`. suppression: devices that are never written, wherever their rows come from.
        """
        by_login = {} if login is None else {"credential_provider": AskedFor(login)}
        # RESP2: a connection carries nothing but replies.
        pool = ConnectionPool.from_url(
            url if login is None else without_login(url),
            **by_login,
            protocol=2,
            socket_timeout=timeout_s,
            socket_connect_timeout=5,
            retry=Retry(NoBackoff(), 0),
            max_connections=8,
        )
        self._redis = Redis.from_pool(pool)
        self._pool = pool
        self._region = region
        self._trail_points = trail_points
        self._unseen_ms = unseen_days * _DAY_MS
        self._timeout_s = timeout_s
        self._sha: bytes | None = None
        self._suppression = suppression or NoSuppression()
        self._fit_until_s = 0.0
        self._said: str | None = None
        self._writer = Writer(uuid4().hex, changes=changes)

    @classmethod
    def of(cls, settings: RegionSettings, suppression: Suppression | None = None) -> "RedisLive":
        """The region's live state, as its settings say."""
        url, cache = settings.redis_url.get_secret_value(), settings.redis_iam_cache
        user = urlsplit(url).username or ""
        return cls(
            url,
            settings.region,
            login=None if cache is None else elasticache_login(user, cache, settings.row.aws_region),
            trail_points=settings.trail_points,
            unseen_days=settings.live_unseen_days,
            changes=settings.live_changes,
            suppression=suppression,
        )

    async def check(self, before: str = "check") -> None:
        """Raise SinkUnavailable where the server is away, or unfit for live state; log what else speaks against it.

        before: what is to be done once it is known to be fit, for the message.
        """
        fitness = await self._guarded(before, self._fitness)
        said = fitness.unfit or fitness.warning
        if said is not None and said != self._said:
            log = _log.warning if fitness.unfit is None else _log.error
            log("redis unfit", region=self._region, why=said, written=fitness.unfit is None)
        self._said = said
        if fitness.evicted:
            # Guards may be gone: the epoch goes too, so that live state is rebuilt once nothing is evicted any more.
            await self.mark_incomplete()
        if fitness.unfit is not None:
            await self._connect_anew()
            raise SinkUnavailable(f"Redis of region {self._region}: {fitness.unfit}")
        self._fit_until_s = time.monotonic() + _LOOK_EVERY_S

    async def _fitness(self) -> Fitness:
        try:
            return fitness_of(await self._redis.info())
        except NoPermissionError:
            return Fitness(
                warning="its user may not call INFO: whether it evicts keys is not known; add +info to its ACL"
            )

    async def write(self, rows: pa.RecordBatch) -> LiveReport:
        """Take in rows; see LiveState. Selects each device's newest rows first, so Redis gets each device once."""
        rows = accepted_rows(self._suppression, rows)
        if not rows.num_rows:
            return LiveReport()
        if time.monotonic() >= self._fit_until_s:
            await self.check(before="write")
        if rows.num_rows > 1 and rows.nbytes > _BYTES_AT_ONCE:
            middle = rows.num_rows // 2
            return _sum(await self.write(rows.slice(0, middle)), await self.write(rows.slice(middle)))
        # Tens of milliseconds of arithmetic, off the event loop.
        selection, ready = await asyncio.to_thread(self._encoded, rows)

        async def send() -> list[Reply]:
            try:
                return await self._send(ready)
            except NoScriptError:
                # The server was restarted or flushed its scripts; sending again is harmless, equal is a no-op.
                self._sha = None
                return await self._send(ready)

        replies = await self._guarded("write", send)
        return LiveReport(
            devices=len(selection.device_ids),
            updated=sum(reply.updated for reply in replies),
            points=len(selection.points),
        )

    def _encoded(self, rows: pa.RecordBatch) -> tuple[Selection, EncodedRows]:
        selection = select_newest(rows, self._trail_points)
        return selection, encode(self._region, rows, selection, self._trail_points)

    async def latest(self, device_id: str) -> bytes | None:
        """JSON of the newest record."""
        held: bytes | None = await self._guarded("read", lambda: self._redis.get(redis_latest(self._region, device_id)))
        return held

    async def trail(self, device_id: str) -> list[bytes]:
        """The newest points, oldest first."""
        key = redis_trail(self._region, device_id)
        points: list[bytes] = await self._guarded("read", lambda: self._redis.zrange(key, 0, -1))
        return points

    async def position(self, device_id: str) -> tuple[float, float] | None:
        """Longitude and latitude of the newest good position."""
        (found,) = await self._guarded("read", lambda: self._redis.geopos(redis_geo(self._region), device_id))
        return (float(found[0]), float(found[1])) if found else None

    async def seen_ms(self, device_id: str) -> int | None:
        """Latest arrival."""
        score = await self._guarded("read", lambda: self._redis.zscore(redis_seen(self._region), device_id))
        return None if score is None else int(score)

    async def forget(self, device_ids: Sequence[str]) -> None:
        """Remove these devices from latest, trail, geo and seen together."""
        for start in range(0, len(device_ids), _SWEPT_AT_ONCE):
            await self._forget(device_ids[start : start + _SWEPT_AT_ONCE], "")

    async def sweep(self, now_ms: int) -> int:
        """Forget the devices unseen for long; the script looks again, so one seen meanwhile stays."""
        cutoff, swept = str(now_ms - self._unseen_ms), 0
        while True:
            old: list[bytes] = await self._guarded(
                "read",
                lambda: self._redis.zrangebyscore(redis_seen(self._region), "-inf", cutoff, 0, _SWEPT_AT_ONCE),
            )
            if not old:
                return swept
            swept += await self._forget([device.decode() for device in old], cutoff)

    async def epoch(self) -> str | None:
        """What `R:epoch` holds."""
        held = await self._guarded("read", lambda: self._redis.get(redis_epoch(self._region)))
        return None if held is None else held.decode()

    async def mark_incomplete(self) -> None:
        """Delete both keys in one command, as the script does when it detects a loss."""
        keys = redis_epoch(self._region), redis_rebuilds(self._region)
        await self._guarded("write", lambda: self._redis.delete(*keys))

    async def begin_rebuild(self, token: str) -> None:
        """Note the rebuild in a hash that is lost with everything else, and that is deleted when a loss is detected."""
        key = redis_rebuilds(self._region)
        await self._guarded("write", lambda: self._redis.hset(key, token, ""))
        await self._guarded("write", lambda: self._redis.expire(key, _REBUILT_WITHIN_S))

    async def rebuilding(self, token: str) -> bool:
        """Whether the note is there."""
        key = redis_rebuilds(self._region)
        return bool(await self._guarded("read", lambda: self._redis.hexists(key, token)))

    async def give_up_rebuild(self, token: str) -> None:
        """Take the note away."""
        await self._guarded("write", lambda: self._redis.hdel(redis_rebuilds(self._region), token))

    async def end_rebuild(self, token: str) -> bool:
        """Remove the note and set the epoch, both or neither; neither if the last writes were lost."""
        region, writer = self._region, self._writer
        keys = [redis_rebuilds(region), redis_epoch(region), redis_writes(region, writer.name)]
        arguments = [token, str(writer.acknowledged)]
        ended = await self._guarded("write", lambda: self._redis.eval(_END_REBUILD, len(keys), *keys, *arguments))
        return bool(ended)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
        await self._pool.disconnect()

    async def _forget(self, device_ids: Sequence[str], cutoff: str) -> int:
        keys = [redis_geo(self._region), redis_seen(self._region), redis_changed(self._region)]
        for device_id in device_ids:
            keys += [redis_latest(self._region, device_id), redis_trail(self._region, device_id)]
        arguments = [cutoff, str(self._writer.changes), *device_ids]
        return int(await self._guarded("write", lambda: self._redis.eval(_FORGET, len(keys), *keys, *arguments)))

    async def _send(self, ready: EncodedRows) -> list[Reply]:
        if self._sha is None:
            loaded = await self._redis.script_load(_WRITE)
            self._sha = loaded if isinstance(loaded, bytes) else loaded.encode()
        transactions = partial(ready.transactions, self._sha, self._writer)
        try:
            replies = await self._on_a_connection(lambda to: send_and_count(to, transactions(), self._timeout_s))
        except ErrorReply:
            replies = await self._on_a_connection(lambda to: send_and_parse(to, transactions()))
        # Never lower: a server that has fewer than it once acknowledged has lost writes.
        self._writer.acknowledged = max(self._writer.acknowledged, *(reply.writes for reply in replies))
        return replies

    async def _on_a_connection(self, call: Callable[[AbstractConnection], Awaitable[list[Reply]]]) -> list[Reply]:
        connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            return await call(connection)
        except BaseException:
            # Answers may still be on their way: the connection must not be used again.
            await connection.disconnect(nowait=True)
            raise
        finally:
            await self._pool.release(connection)

    async def _connect_anew(self) -> None:
        """Use no open connection again: after a failover the address is another server's."""
        self._fit_until_s = 0.0
        with suppress(RedisError, OSError):
            await self._pool.disconnect(inuse_connections=False)

    async def _guarded(self, what: str, call: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await call()
        except (RedisError, OSError, TimeoutError) as error:
            if rejects_rows(error):
                raise RecordsRefused(f"Redis of region {self._region}: cannot {what}: {error}") from error
            await self._connect_anew()
            _log.warning("redis unavailable", region=self._region, action=what, error=type(error).__name__)
            raise SinkUnavailable(f"Redis of region {self._region}: cannot {what}: {explanation(error)}") from error


def _sum(first: LiveReport, second: LiveReport) -> LiveReport:
    """Two halves of one write; a device in both counts twice."""
    return LiveReport(
        first.devices + second.devices,
        first.updated + second.updated,
        first.points + second.points,
    )
