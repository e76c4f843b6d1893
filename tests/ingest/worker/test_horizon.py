"""A loss to the stream's retention is noticed whatever happens around it."""

import asyncio

from msgspec.structs import replace

from ingest.kinesis import StreamUnavailable
from ingest.kinesis.memory import MemoryStream
from ingest.kinesis.protocol import Records
from tests.builders.consumer import World, fill, until
from tests.builders.virtual_time import VirtualClock, run_virtually


class Stalling:
    """A stream that gives no answer for a while, and once more to whoever looks back."""

    def __init__(self, inner: MemoryStream) -> None:
        self.down = False
        self.refuse_next_single = True
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def get_records(self, iterator: str, limit: int = 10_000) -> Records:
        if limit == 1 and self.refuse_next_single:
            self.refuse_next_single = False
            raise StreamUnavailable("not now")
        if self.down:
            raise StreamUnavailable("down")
        return await self._inner.get_records(iterator, limit)


def _lost_after_minutes_beyond(minutes: float, *, keep_last: bool = False, early_ms: int = 0) -> bool:
    async def story() -> bool:
        world = World(shards=1, retention_ms=3_600_000)
        stream = Stalling(world.stream)
        worker = world.worker("w", world.parts(stream=stream, clock=VirtualClock()), flush_age_s=1)
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(5)
        fill(world.stream, 10)
        await until(lambda: worker.totals.landed == 10)
        stream.down = True
        if keep_last:
            world.stream._retention_ms = 10 * 3_600_000
        await asyncio.sleep(1)
        fill(world.stream, 10, first=10)
        (log,) = world.stream._logs.values()
        log.records[-10:] = [
            replace(record, approximate_arrival_timestamp=(record.arrival_ms - early_ms) / 1000)
            for record in log.records[-10:]
        ]
        await asyncio.sleep(3_600 + minutes * 60)
        stream.down = False
        fill(world.stream, 10, first=20)
        await until(lambda: worker.totals.landed == (30 if keep_last else 20), within_s=120)
        assert not stream.refuse_next_single
        worker.stop()
        return (await running).lost > 0

    return run_virtually(story())


def test_records_trimmed_a_minute_ago_while_reading_stalled_are_a_loss() -> None:
    assert _lost_after_minutes_beyond(1)


def test_where_the_last_record_read_is_still_there_nothing_is_lost() -> None:
    assert not _lost_after_minutes_beyond(1, keep_last=True)


def test_records_trimmed_before_their_true_time_are_a_loss() -> None:
    assert _lost_after_minutes_beyond(-0.5, early_ms=50_000)
