"""A loss to the stream's retention is noticed whatever happens around it."""

import asyncio
import dataclasses
import json
from typing import Any

import pytest
from msgspec.structs import replace

from ingest.kinesis import Start, StreamUnavailable
from ingest.kinesis.memory import MemoryStream
from ingest.kinesis.protocol import Records, StreamDescription
from ingest.kinesis.trouble import Trouble
from ingest.worker.reading.retention import Horizon, Retention
from tests.builders.consumer import World, fill, until
from tests.builders.virtual_time import VirtualClock, run_virtually, true_ms

_HOUR_MS = 3_600_000


class Stalling:
    """A stream that gives no answer for a while, and once more to whoever looks back."""

    def __init__(self, inner: MemoryStream) -> None:
        self.down = False
        self.refuse_next_single = True
        self.read: set[str] = set()
        """Event ids of all records given."""
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def get_records(self, iterator: str, limit: int = 10_000, **more: Any) -> Records:
        if limit == 1 and self.refuse_next_single:
            self.refuse_next_single = False
            raise StreamUnavailable("not now")
        if self.down:
            raise StreamUnavailable("down")
        answer = await self._inner.get_records(iterator, limit, **more)
        self.read |= {json.loads(record.data)["event_id"] for record in answer.records}
        return answer


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
        return (await running).trimmed > 0

    return run_virtually(story())


def test_records_trimmed_a_minute_ago_while_reading_stalled_are_a_loss() -> None:
    assert _lost_after_minutes_beyond(1)


def test_where_the_last_record_read_is_still_there_nothing_is_lost() -> None:
    assert not _lost_after_minutes_beyond(1, keep_last=True)


def test_records_trimmed_before_their_true_time_are_a_loss() -> None:
    assert _lost_after_minutes_beyond(-0.5, early_ms=50_000)


HOUR_S = 3_600
SELDOM = {"look_every_s": 30.0, "lease_ttl_s": 900.0, "discover_every_s": 600.0, "sweep_every_s": 1e6}
"""So that a day takes little time."""


def _stalled_while_retention_changes(to_h: int, *, stalled_h: float, at_h: float, began_at_h: int = 168) -> list[bool]:
    """What `lost` the ledger says where a reader stalls and meanwhile the stream's retention becomes another."""

    async def story() -> list[bool]:
        world = World(shards=1, retention_ms=began_at_h * HOUR_S * 1000)
        stream = Stalling(world.stream)
        worker = world.worker("w", world.parts(stream=stream), flush_age_s=1, **SELDOM)
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(5)
        fill(world.stream, 10)
        await until(lambda: worker.totals.landed == 10)
        stream.down = True
        await asyncio.sleep(60)
        fill(world.stream, 10, first=10)
        await asyncio.sleep(at_h * HOUR_S)
        world.stream._retention_ms = to_h * HOUR_S * 1000
        world.stream._trim()
        await asyncio.sleep((stalled_h - at_h) * HOUR_S)
        fill(world.stream, 10, first=20)
        stream.down = False
        await until(lambda: "29" in stream.read, within_s=120)
        await asyncio.sleep(10)
        worker.stop()
        await running
        return [entry.lost for entry in await world.entries()]

    return run_virtually(story())


def test_what_is_trimmed_by_a_retention_made_shorter_while_reading_stalled_is_a_loss() -> None:
    assert _stalled_while_retention_changes(24, stalled_h=30, at_h=1) == [False, True]


def test_a_retention_made_shorter_a_moment_before_reading_goes_on_is_noticed_too() -> None:
    assert _stalled_while_retention_changes(24, stalled_h=30, at_h=29.9999) == [False, True]


def test_a_retention_made_longer_after_the_stream_had_trimmed_hides_no_loss() -> None:
    assert _stalled_while_retention_changes(168, stalled_h=30, at_h=29, began_at_h=24) == [False, True]


def test_a_long_stall_within_the_retention_is_no_loss() -> None:
    assert _stalled_while_retention_changes(168, stalled_h=40, at_h=1) == [False, False]


def _trouble() -> Trouble:
    return Trouble("s", VirtualClock())


def test_the_ratio_follows_the_streams_present_retention() -> None:
    async def story() -> None:
        horizon = Horizon("s", retention := Retention(168 * HOUR_S * 1000), 1_000, "1", VirtualClock(), _trouble())
        assert horizon.used(1_000 + 12 * HOUR_S * 1000) < 0.1
        retention.observed(StreamDescription(24 * HOUR_S * 1000))
        assert horizon.used(1_000 + 12 * HOUR_S * 1000) == 0.5

    run_virtually(story())


def test_an_answer_that_may_be_later_than_its_time_says_is_doubted_by_its_latest() -> None:
    async def story() -> None:
        stream = MemoryStream(1, now_ms=true_ms, retention_ms=HOUR_S * 1000)
        shard, sequence = stream.put("k", b"first")
        horizon = Horizon(shard, Retention(HOUR_S * 1000), true_ms(), sequence, VirtualClock(), _trouble())
        told_ms = true_ms() + 57 * 60_000
        stream.put("k", b"trimmed unread")
        await asyncio.sleep(HOUR_S + 60)
        stream.put("k", b"next")
        answer = await stream.get_records(await stream.get_shard_iterator(shard, Start.oldest()))
        pushed = dataclasses.replace(answer, response_ms=told_ms, late_ms=240_000)
        assert await horizon.check(stream, pushed)

    run_virtually(story())


@pytest.mark.parametrize("hollow_every", [0, 1, 2])
@pytest.mark.parametrize("idle_days", [0, 2])
def test_an_answer_without_records_that_is_behind_tells_of_no_loss(hollow_every: int, idle_days: int) -> None:
    async def story() -> None:
        world = World(shards=1, retention_ms=168 * _HOUR_MS)
        fill(world.stream, 5)
        assert (await world.read_all()).landed == 5
        await asyncio.sleep(30 * 3_600)
        fill(world.stream, 5, first=5)
        world.stream._hollow_every = 2 if hollow_every == 1 else 3 * hollow_every
        await asyncio.sleep(idle_days * 86_400)
        report = await world.read_all("after the outage")
        assert (report.landed, report.trimmed) == (5, 0)

    run_virtually(story())


@pytest.mark.parametrize("hollow", [False, True])
def test_the_look_back_reads_on_until_the_first_record_or_the_tip(hollow: bool) -> None:
    async def story() -> bool:
        now_ms = [1_800_000_000_000]
        stream = MemoryStream(1, now_ms=lambda: now_ms[0], retention_ms=168 * _HOUR_MS)
        (shard,) = stream.open_shards()
        _, first = stream.put("k", b"{}")
        known_ms = now_ms[0]
        now_ms[0] += 30 * _HOUR_MS
        stream.put("k", b"{}")
        answer = await stream.get_records(await stream.get_shard_iterator(shard, Start.after(first)))
        stream._hollow_every = 2 if hollow else 0
        stream._reads = 1
        clock = VirtualClock()
        retention = Retention(168 * _HOUR_MS)
        return await Horizon(shard, retention, known_ms, first, clock, Trouble(shard, clock)).check(stream, answer)

    assert run_virtually(story()) is False
