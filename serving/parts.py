"""Everything that one process works with, and its chores."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import cast

import structlog
from redis.exceptions import RedisError

from contracts.errors import BadSettings
from contracts.names import redis_denied
from contracts.outages import POSTGRES, REDIS, S3
from contracts.settings import RegionSettings
from serving.access.keys import Keys
from serving.access.rates import Rates, Streams
from serving.access.tokens import Tokens
from serving.live.feed import Feed
from serving.live.push import Pusher
from serving.metrics import Metrics
from serving.stores.audit import Audit
from serving.stores.directory import Directory
from serving.stores.postgres import Postgres
from serving.stores.records import Records, client_of
from serving.stores.shares import Shares
from serving.stores.trails import Trails
from serving.stores.webhooks import Webhooks
from serving.stores.zones import Zones
from serving.webhooks.leading import Leading
from serving.webhooks.sending import Sending
from serving.webhooks.watching import Watching

CHORES_EVERY_S = 1.0
DENIED_EVERY_S = 5.0
_log = structlog.get_logger(__name__)


class Parts:
    """The parts of one process."""

    def __init__(self, settings: RegionSettings) -> None:
        """Raises BadSettings where no key set is named."""
        own = settings.serving
        if own.jwks is None:
            raise BadSettings(
                "FLEETLAKE_SERVING_JWKS: name the key set whose tokens are believed (see docs/settings.md)"
            )
        self.settings, self.own, self.region = settings, own, settings.region
        self.metrics = Metrics()
        self.keys = Keys(own.jwks, own.jwks_age_s)
        self.tokens = Tokens(
            self.keys, settings.region, audience=own.audience, issuer=own.issuer, longest_s=own.token_hours * 3600
        )
        self.rates = Rates(own.requests_s)
        self.streams = Streams(own.streams, own.streams_token)
        self.redis = client_of(settings.redis_url.get_secret_value(), own.store_timeout_s)
        self.records = Records(self.redis, settings.region, own.store_timeout_s)
        self.postgres = Postgres(settings.postgres_dsn.get_secret_value(), own.store_timeout_s)
        self.privacy = Postgres(settings.privacy_dsn.get_secret_value(), own.store_timeout_s)
        self.key = settings.release_key.get_secret_value().encode()
        """The region's own: what is kept of a device without its name, and secrets of webhooks, are made with it."""
        self.audit = Audit(self.privacy, self.key)
        self.zones = Zones(self.postgres)
        self.shares = Shares(self.postgres, self.rates)
        self.webhooks = Webhooks(self.postgres)
        self.directory = Directory(settings.postgres_dsn.get_secret_value())
        self.feed = Feed(self.redis, settings.region)
        self.trails = Trails(settings)
        self.draining = asyncio.Event()
        self.pusher = Pusher(self.feed, self.tokens, own.stream_hz, self.draining)
        self.leading = Leading(
            settings.postgres_dsn.get_secret_value(), settings.region, self.webhooks, self._watching, self._sending
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._loads = self._sent = 0

    async def open(self) -> None:
        """Begin. The keys have to be there; stores may be away."""
        await self.keys.open()
        self.trails.open()
        await asyncio.gather(self.postgres.open(), self.privacy.open(), self._read_directory())
        chores = self.feed.run, self.pusher.run, self.leading.run, self._chores
        self._tasks = [asyncio.create_task(chore()) for chore in chores]

    async def close(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(self.postgres.close(), self.privacy.close(), self.trails.close(), self.redis.aclose())

    def end(self) -> None:
        """The process drains: streams end."""
        self.pusher.end()

    async def stores(self) -> dict[str, bool]:
        """Whether each store answers now."""
        redis, postgres, s3 = await asyncio.gather(self._redis_answers(), self._postgres_answers(), self._s3_answers())
        return {REDIS: redis, POSTGRES: postgres, S3: s3}

    def _watching(self) -> Watching:
        return Watching(self.feed, self.records, self.webhooks)

    def _sending(self) -> Sending:
        return Sending(self.webhooks, self.key, self.metrics, self.own.webhooks_private)

    async def _redis_answers(self) -> bool:
        return await _answers(self.redis.ping)

    async def _postgres_answers(self) -> bool:
        return await _answers(lambda: self.postgres.rows("select 1"))

    async def _s3_answers(self) -> bool:
        from lake.stores import answers, questions_to

        question = questions_to(self.settings, (S3,))[S3]
        return await asyncio.to_thread(answers, question)

    async def _read_directory(self) -> None:
        if await self.directory.refresh():
            self.feed.table.hide(self.directory.restricted, self.feed.version)
            self.feed.table.assign(self.directory.fleet_of, self.feed.version)

    async def _chores(self) -> None:
        denied_at_s = float("-inf")
        while True:
            if self.directory.age_s > self.own.directory_age_s:
                await self._read_directory()
            if time.monotonic() - denied_at_s > DENIED_EVERY_S:
                denied_at_s = time.monotonic()
                await self._read_denied()
            self._measure()
            await asyncio.sleep(CHORES_EVERY_S)

    async def _read_denied(self) -> None:
        """Tokens that were revoked and would still hold. While Redis is away, those that are known stay denied."""
        try:
            name = redis_denied(self.region)
            found = cast("list[bytes]", await self.redis.zrangebyscore(name, time.time(), "+inf"))
        except (RedisError, OSError, TimeoutError) as error:
            _log.warning("serving.denied_unread", error=type(error).__name__)
            return
        self.tokens.denied = frozenset(one.decode() for one in found)

    def _measure(self) -> None:
        metrics = self.metrics
        metrics.devices.set(len(self.feed.table))
        metrics.behind.set(min(self.feed.behind_s, 1e9))
        metrics.directory_age.set(min(self.directory.age_s, 1e9))
        metrics.streams.set(self.streams.count)
        metrics.loads.inc(self.feed.loads - self._loads)
        metrics.pushed.inc(self.pusher.sent - self._sent)
        self._loads, self._sent = self.feed.loads, self.pusher.sent


async def _answers(question: Callable[[], Awaitable[object]]) -> bool:
    try:
        await question()
    except Exception:  # noqa: BLE001 - whatever it is, the store did not answer as it should
        return False
    return True
