"""Live state: the newest of each device, in Redis."""

from ingest.live.memory import MemoryLive
from ingest.live.protocol import LiveReport, LiveState
from ingest.live.redis import RedisLive

__all__ = ["LiveReport", "LiveState", "MemoryLive", "RedisLive"]
