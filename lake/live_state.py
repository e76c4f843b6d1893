"""Live state, as those who remove from it see it: a client, and devices forgotten as the consumer forgets them."""

from collections.abc import Sequence

import redis

from contracts.names import redis_changed, redis_geo, redis_latest, redis_seen, redis_trail
from contracts.settings import RegionSettings


def live_client(settings: RegionSettings) -> "redis.Redis":
    """A client of the region's Redis that fails rather than waits."""
    url, limit_s = settings.redis_url.get_secret_value(), settings.store_timeout_s
    return redis.Redis.from_url(url, socket_timeout=limit_s, socket_connect_timeout=5)


def forget_live(settings: RegionSettings, devices: Sequence[str]) -> int:
    """Take these devices out of latest, trail, geo and seen together, and tell who follows; how many were there."""
    region, done = settings.region, 0
    with live_client(settings) as client:
        for device in devices:
            with client.pipeline(transaction=True) as pipe:
                pipe.unlink(redis_latest(region, device), redis_trail(region, device))
                pipe.zrem(redis_geo(region), device)
                pipe.zrem(redis_seen(region), device)
                if settings.live_changes:
                    pipe.xadd(redis_changed(region), {"ids": device}, maxlen=settings.live_changes, approximate=True)
                done += any(pipe.execute()[:3])
    return done
