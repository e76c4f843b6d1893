"""Where the first reading of a stream starts, in epoch milliseconds; and waiting for a stream that is not there yet."""

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from contracts.errors import Misuse
from ingest.kinesis.protocol import StreamDescription, StreamUnavailable

if TYPE_CHECKING:
    from ingest.worker.options import Options, Parts

OLDEST_MS, LATEST_MS = 0, -1
_PATIENCE_S = 30.0
_log = structlog.get_logger()


def start_ms_of(setting: str | datetime) -> int:
    """The start that a setting says: TRIM_HORIZON, LATEST, or an arrival time with its offset."""
    if isinstance(setting, datetime):
        return int(setting.timestamp() * 1000)
    return LATEST_MS if setting == "LATEST" else OLDEST_MS


def resolved(start_ms: int, stream: StreamDescription) -> int:
    """The start, with LATEST_MS as the stream's own present: a worker's wrong clock must leave nothing out.

    A time before all that the stream keeps is its oldest record. Raises Misuse for a time that is still to come,
    which a stream would refuse.
    """
    if start_ms == LATEST_MS:
        return stream.now_ms
    ahead_s = (start_ms - stream.now_ms) / 1000
    if ahead_s > 1:  # a stream tells its time in whole seconds
        raise Misuse(f"FLEETLAKE_START is {ahead_s:.0f} s in the future; name a time that has passed")
    return start_ms if start_ms > stream.now_ms - stream.retention_ms else OLDEST_MS


async def stream_described(parts: "Parts", options: "Options", stopping: asyncio.Event) -> StreamDescription:
    """The stream's description: the first thing asked, so the place to wait until it is there.

    Raises StreamUnavailable where a worker that is to end by itself has waited long.
    """
    since_s = parts.clock.monotonic_s()
    while not stopping.is_set():
        try:
            found = await parts.stream.describe()
        except StreamUnavailable as error:
            _log.warning("stream.unavailable", error=str(error))
            if options.until_idle and parts.clock.monotonic_s() - since_s > _PATIENCE_S:
                raise
            await parts.clock.sleep(1.0)
        else:
            return found if found.now_ms else found._replace(now_ms=parts.clock.wall_ms())
    return StreamDescription(0, parts.clock.wall_ms())


async def stream_now_ms(parts: "Parts") -> int:
    """The stream's time, which is the same for every worker; raises StreamUnavailable, also where it tells none."""
    now_ms = (await parts.stream.describe()).now_ms
    if not now_ms:
        raise StreamUnavailable("the stream's answer has no time")
    return now_ms
