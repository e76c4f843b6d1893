"""What a worker shows of its shards grows older by itself: it is needed most when nothing is read."""

import asyncio
from typing import Any

import pytest

from ingest.kinesis import IteratorExpired, ReadLimits, ShardCursor, ShardGone, Start, StreamUnavailable, Throttled
from ingest.kinesis.memory import MemoryStream
from ingest.runtime.metrics import STREAM, Metrics
from ingest.worker import Parts
from ingest.worker.reading.lag import Arrivals
from tests.builders.consumer import Outage, World, fill, record, until
from tests.builders.virtual_time import VirtualClock, run_virtually, true_ms

HOUR_S = 3_600
SHARD = "shardId-000000000000"
SELDOM = {"look_every_s": 30.0, "lease_ttl_s": 900.0, "discover_every_s": 600.0, "sweep_every_s": 1e6}
"""So that a day takes little time."""


class Failing:
    """A stream of which one method raises while `error` is set."""

    def __init__(self, inner: MemoryStream, method: str = "get_records") -> None:
        self.error: Exception | None = None
        self.calls = 0
        self._inner = inner
        self._method = method

    def __getattr__(self, name: str) -> Any:
        if name != self._method:
            return getattr(self._inner, name)
        self.calls += 1
        if self.error is not None:
            raise self.error
        return getattr(self._inner, name)


def _shown(parts: Parts, name: str, label: str = SHARD) -> float | None:
    for family in parts.metrics.registry.collect():
        for sample in family.samples:
            if sample.name == f"fleetlake_ingest_{name}" and label in sample.labels.values():
                return sample.value
    return None


def test_while_reads_fail_lag_and_retention_grow_and_health_says_what_is_away_and_since_when() -> None:
    async def story() -> None:
        world = World(shards=1)
        stream = Failing(world.stream)
        parts = world.parts(stream=stream)
        worker = world.worker("w", parts, flush_age_s=1, **SELDOM)
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(1)
        fill(world.stream, 600)
        await until(lambda: worker.totals.landed == 600)
        assert worker.health().ready
        stream.error = StreamUnavailable("HTTP 500")
        await asyncio.sleep(20 * HOUR_S)
        worker.show()
        assert _shown(parts, "retention_used_ratio") == pytest.approx(20 / 24, abs=0.01)
        assert _shown(parts, "lag_ms") == pytest.approx(20 * HOUR_S * 1000, rel=0.01)
        health = worker.health()
        assert (health.alive, health.ready) == (True, False)
        assert health.down_s[STREAM] == pytest.approx(20 * HOUR_S, rel=0.01)
        parts.metrics.page()
        assert _shown(parts, "sink_down_seconds", STREAM) == pytest.approx(20 * HOUR_S, rel=0.01)
        stream.error = None
        await until(lambda: worker.health().ready)
        worker.show()
        assert _shown(parts, "lag_ms") == 0
        worker.stop()
        await running
        assert _shown(parts, "lag_ms") is None

    run_virtually(story())


def test_while_buffers_are_full_lag_and_retention_grow() -> None:
    async def story() -> None:
        world = World(shards=1)
        store = Outage(world.store, "put_new")
        store.down = True
        fill(world.stream, 30_000)
        parts = world.parts(store=store)
        worker = world.worker("w", parts, buffer_bytes=1_000_000, flush_bytes=500_000, **SELDOM)
        running = asyncio.create_task(worker.run())
        await until(lambda: worker.health().reading_paused_s > 0)
        await asyncio.sleep(13 * HOUR_S)
        worker.show()
        assert (_shown(parts, "retention_used_ratio") or 0) > 0.5
        assert (_shown(parts, "lag_ms") or 0) > 12.9 * HOUR_S * 1000
        running.cancel()
        await asyncio.wait([running])

    run_virtually(story())


def test_a_shard_that_never_answered_its_new_owner_is_seen_to_fall_behind() -> None:
    async def story() -> None:
        world = World(shards=1)
        fill(world.stream, 10)
        await world.read_all()
        stream = Failing(world.stream)
        parts = world.parts(stream=stream)
        stream.error = StreamUnavailable("HTTP 500")
        worker = world.worker("w", parts, **SELDOM)
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(6 * HOUR_S)
        worker.show()
        assert _shown(parts, "retention_used_ratio") == pytest.approx(6 / 24, abs=0.01)
        assert _shown(parts, "lag_ms") == pytest.approx(6 * HOUR_S * 1000, rel=0.01)
        running.cancel()
        await asyncio.wait([running])

    run_virtually(story())


def test_a_shards_share_used_up_now_and_then_does_not_count_as_away_until_it_lasts() -> None:
    async def story() -> None:
        world = World(shards=1)
        stream = Failing(world.stream)
        parts = world.parts(stream=stream)
        worker = world.worker("w", parts)
        running = asyncio.create_task(worker.run())
        await until(lambda: stream.calls > 2)
        stream.error = Throttled("more than 5 reads a second")
        await asyncio.sleep(4)
        assert worker.health().ready
        assert (_shown(parts, "throttled_total") or 0) > 2
        await asyncio.sleep(30)
        assert worker.health().down_s[STREAM] > 30
        running.cancel()
        await asyncio.wait([running])

    run_virtually(story())


def test_trouble_with_one_shard_is_not_hidden_by_the_others() -> None:
    async def story() -> None:
        metrics = Metrics(clock=VirtualClock())
        metrics.sink_failed(STREAM, "one")
        await asyncio.sleep(5)
        metrics.sink_failed(STREAM, "other")
        metrics.sink_worked(STREAM, "other")
        metrics.sink_worked(STREAM)
        assert metrics.down_s() == {STREAM: 5}
        metrics.forget_shard("one")
        assert metrics.down_s() == {}

    run_virtually(story())


def test_the_backlog_in_records_follows_the_rate_of_arrival_not_of_reading() -> None:
    async def story() -> None:
        world = World(shards=1)
        for number in range(60):
            fill(world.stream, 20, first=20 * number)
            await asyncio.sleep(1)
        stream = Failing(world.stream)
        parts = world.parts(stream=stream)
        worker = world.worker("w", parts, **SELDOM)
        running = asyncio.create_task(worker.run())
        await until(lambda: worker.totals.user_records_read == 1_200)
        stream.error = StreamUnavailable("HTTP 500")
        await asyncio.sleep(100)
        worker.show()
        assert _shown(parts, "lag_records") == pytest.approx(20 * 100, rel=0.15)
        running.cancel()
        await asyncio.wait([running])

    run_virtually(story())


def test_the_rate_of_arrival_forgets_what_is_long_ago() -> None:
    arrivals = Arrivals()
    arrivals.begin(1_000_000)
    arrivals.count(60_000, 1_060_000)
    assert arrivals.per_ms == pytest.approx(1.0)
    arrivals.count(0, 1_060_000 + 3_600_000)
    assert arrivals.per_ms < 0.001


def test_hostile_field_names_make_no_more_than_a_thousand_labels() -> None:
    async def story() -> None:
        world = World(shards=1)
        parts = world.parts()
        for batch in range(5):
            for number in range(0, 1_000, 50):
                names = {f"x{batch}-{number + place}": 1 for place in range(50)}
                world.stream.put("k", record("d", number, **names))
            await world.read_all(f"w{batch}", parts)
        samples = [sample for family in parts.metrics.unknown.collect() for sample in family.samples]
        counts = {one.labels["field"]: one.value for one in samples if one.name.endswith("_total")}
        assert len(counts) == 1_001
        assert counts["*"] == 4_000

    run_virtually(story())


def test_a_shard_that_the_streams_list_still_has_is_not_ended() -> None:
    async def story() -> None:
        world = World(shards=1)
        stream = Failing(world.stream)
        worker = world.worker("w", world.parts(stream=stream), flush_age_s=1)
        running = asyncio.create_task(worker.run())
        await until(lambda: stream.calls > 2)
        stream.error = ShardGone("the stream has no such shard")
        await asyncio.sleep(30)
        assert STREAM in worker.health().down_s
        assert [row.ended for row in await world.leases.rows()] == [False]
        stream.error = None
        fill(world.stream, 10)
        await until(lambda: worker.totals.landed == 10)
        worker.stop()
        assert (await running).trimmed == 0

    run_virtually(story())


def test_iterators_that_expire_at_once_are_asked_for_with_back_off() -> None:
    async def story() -> None:
        double = MemoryStream(1, now_ms=true_ms)
        double.put("k", b"one")
        stream = Failing(double)
        cursor = ShardCursor(stream, SHARD, Start.oldest(), clock=VirtualClock(), limits=ReadLimits(0, 0))
        stream.error = IteratorExpired("of an hour ago, by a clock that is wrong")
        reading = asyncio.create_task(cursor.read())
        await asyncio.sleep(60)
        assert stream.calls < 30
        stream.error = None
        assert [one.data for one in (await reading).records] == [b"one"]

    run_virtually(story())
