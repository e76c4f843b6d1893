"""A shard that breaks for a reason that no waiting mends stops alone: loudly, tried again, and no other with it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts.errors import ShardFailed
from ingest.kinesis import Records
from ingest.live import MemoryLive
from tests.builders.consumer import World, fill, record, until
from tests.builders.virtual_time import run_virtually

BROKEN = "shardId-000000000001"


class BugMet(Exception):
    """What no part of the consumer expects."""


class Breaking:
    """A stream whose answers for one shard break the reader while `broken`."""

    def __init__(self, inner: Any) -> None:
        self.broken = True
        self.tries = 0
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def get_shard_iterator(self, shard_id: str, start: Any) -> str:
        if self.broken and shard_id == BROKEN:
            self.tries += 1
            raise BugMet("an answer that nobody foresaw")
        return str(await self._inner.get_shard_iterator(shard_id, start))

    async def get_records(self, iterator: str, limit: int = 10_000, **more: Any) -> Records:
        answer: Records = await self._inner.get_records(iterator, limit, **more)
        return answer


def _in_other_shards(world: World, sent: set[str]) -> set[str]:
    broken = {held.data for held in world.stream.everything(BROKEN)}
    return {number for number in sent if not any(f'"event_id": "{number}"'.encode() in data for data in broken)}


async def _started(world: World, names: Sequence[str], **parts: Any) -> list[Any]:
    workers = [world.worker(name, world.parts(**parts), flush_age_s=1, workers=len(names)) for name in names]
    return [(worker, asyncio.create_task(worker.run())) for worker in workers]


async def _ended(started: Sequence[Any]) -> list[Any]:
    for worker, _ in started:
        worker.stop()
    return list(await asyncio.gather(*(running for _, running in started)))


def test_the_other_shards_are_read_on_and_the_failure_is_told() -> None:
    async def story() -> None:
        world = World(shards=3)
        sent = fill(world.stream, 300)
        stream = Breaking(world.stream)
        with capture_logs() as log:
            ((worker, running),) = started = await _started(world, ["w"], stream=stream)
            await until(lambda: stream.tries == 3)
            sent |= fill(world.stream, 300, first=300)
            others = _in_other_shards(world, sent)
            await until(lambda: worker.totals.landed == len(others))
            health = worker.health()
        assert not running.done()
        assert (health.alive, health.ready, health.failed) == (True, False, [BROKEN])
        assert health.reasons == [f"{BROKEN} failed 3 times: BugMet"]
        assert health.shards == ["shardId-000000000000", "shardId-000000000002"]
        told = [(line["kind"], line["times"], line["again_in_s"]) for line in log if line["event"] == "shard.failed"]
        assert told == [("BugMet", 1, 5.0), ("BugMet", 2, 10.0), ("BugMet", 3, 20.0)]
        page = worker._metrics.page().decode()
        assert "fleetlake_ingest_failed_shards 1.0" in page
        assert 'lease_events_total{event="failed"} 3.0' in page
        assert {row.shard_id: row.owner for row in await world.leases.rows()}[BROKEN] is None
        (report,) = await _ended(started)
        assert report.not_committed == [BROKEN]

    run_virtually(story())


def test_it_is_read_again_once_the_cause_is_mended() -> None:
    async def story() -> None:
        world = World(shards=2)
        sent = fill(world.stream, 300)
        stream = Breaking(world.stream)
        ((worker, _),) = started = await _started(world, ["w"], stream=stream)
        await until(lambda: stream.tries == 2)
        stream.broken = False
        await until(lambda: worker.totals.landed == len(sent))
        assert (worker.health().ready, worker.health().failed) == (True, [])
        assert "fleetlake_ingest_failed_shards 0.0" in worker._metrics.page().decode()
        (report,) = await _ended(started)
        assert report.not_committed == []
        assert sorted(await world.landed_ids()) == sorted(sent)

    run_virtually(story())


def test_what_live_state_has_of_a_shard_that_broke_is_noted_with_the_release() -> None:
    broken: list[bool] = []

    async def decoding(work: Any, /, *args: Any) -> Any:
        if broken:
            raise BugMet("a record that nobody foresaw")
        return work(*args)

    async def story() -> None:
        world = World(shards=1, live=MemoryLive())
        fill(world.stream, 100)
        ((worker, _),) = started = await _started(world, ["w"], decoding=decoding)
        await until(lambda: worker.totals.landed == 100)
        await asyncio.sleep(1)
        broken.append(True)
        fill(world.stream, 10, first=100)

        async def released() -> bool:
            return (await world.leases.rows())[0].owner is None

        await until(released)
        (row,) = await world.leases.rows()
        assert row.position
        assert row.live_seq == row.position
        await _ended(started)

    run_virtually(story())


def test_no_worker_of_the_fleet_falls_over_it_and_nobody_hammers_it() -> None:
    async def story() -> None:
        world = World(shards=4)
        sent = fill(world.stream, 400)
        stream = Breaking(world.stream)
        started = await _started(world, ["one", "two", "three"], stream=stream)
        await asyncio.sleep(600)
        sent |= fill(world.stream, 400, first=400)
        others = _in_other_shards(world, sent)
        await until(lambda: sum(worker.totals.landed for worker, _ in started) == len(others))
        assert not any(running.done() for _, running in started)
        assert stream.tries <= 3 * 8
        assert sorted(shard for worker, _ in started for shard in worker.health().shards) == [
            f"shardId-{number:012d}" for number in (0, 2, 3)
        ]
        await _ended(started)

    run_virtually(story())


def test_until_idle_the_others_are_finished_before_the_command_fails() -> None:
    async def story() -> None:
        world = World(shards=3)
        sent = fill(world.stream, 600)
        world.stream.put("later", record("later", 600))
        with pytest.raises(ShardFailed, match="BugMet"):
            await world.read_all(parts=world.parts(stream=Breaking(world.stream)))
        landed = set(await world.landed_ids())
        assert landed == _in_other_shards(world, sent | {"600"})
        assert 0 < len(landed) < 600
        assert [row.owner for row in await world.leases.rows()] == [None] * 3
        await world.read_all("next")
        assert sorted(await world.landed_ids()) == sorted(sent | {"600"})

    run_virtually(story())
