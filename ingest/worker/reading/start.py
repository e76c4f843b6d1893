"""Where the first reading of a stream starts, in epoch milliseconds, and waiting until the stream answers."""

import asyncio
from datetime import UTC, datetime

import structlog

from contracts.errors import Misuse, StreamReplaced
from ingest.kinesis.protocol import StreamClient, StreamDescription, StreamUnavailable
from ingest.runtime.clock import Clock

OLDEST_MS, LATEST_MS = 0, -1
_PATIENCE_S = 30.0
_log = structlog.get_logger()


def start_ms_of(setting: str | datetime) -> int:
    """The start of a setting: TRIM_HORIZON, LATEST, or an arrival time with its offset."""
    if isinstance(setting, datetime):
        return int(setting.timestamp() * 1000)
    return LATEST_MS if setting == "LATEST" else OLDEST_MS


def resolved(start_ms: int, stream: StreamDescription) -> int:
    """The start, with LATEST_MS as the stream's present: a worker's wrong clock must not skip records.

    A time before the retention is the oldest record. Raises Misuse for a time in the future, which a stream would
    refuse.
    """
    if start_ms == LATEST_MS:
        return stream.now_ms
    ahead_s = (start_ms - stream.now_ms) / 1000
    if ahead_s > 1:  # a stream tells its time in whole seconds
        raise Misuse(f"FLEETLAKE_START is {ahead_s:.0f} s in the future; name a time that has passed")
    return start_ms if start_ms > stream.now_ms - stream.retention_ms else OLDEST_MS


def same_stream(created_ms: int, known_ms: int) -> None:
    """Raises StreamReplaced where a stream was made at another time than the known one; 0 is unknown."""
    if created_ms and known_ms and created_ms != known_ms:
        raise StreamReplaced(
            f"the stream was made at {_time(created_ms)}, but leases and ledger are of one of the same name that was "
            f"made at {_time(known_ms)} and deleted since: what was not read of it is gone. To read the new one, stop "
            "all workers and start one with: fleetlake consume --region REGION --new-stream"
        )


def _time(epoch_ms: int) -> str:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(timespec="milliseconds")


async def stream_described(
    stream: StreamClient, clock: Clock, stopping: asyncio.Event, *, until_idle: bool
) -> StreamDescription:
    """The stream's description: a worker's first request, so this waits until the stream answers.

    Raises StreamUnavailable where a worker that runs `until_idle` has waited for 30 s.
    """
    since_s = clock.monotonic_s()
    while not stopping.is_set():
        try:
            found = await stream.describe()
        except StreamUnavailable as error:
            _log.warning("stream.unavailable", error=str(error))
            if until_idle and clock.monotonic_s() - since_s > _PATIENCE_S:
                raise
            await clock.sleep(1.0)
        else:
            return found if found.now_ms else found._replace(now_ms=clock.wall_ms())
    return StreamDescription(0, clock.wall_ms())


async def stream_now_ms(stream: StreamClient) -> int:
    """The stream's time, which is the same for every worker; raises StreamUnavailable, also where it tells no time."""
    now_ms = (await stream.describe()).now_ms
    if not now_ms:
        raise StreamUnavailable("the stream's answer has no time")
    return now_ms
