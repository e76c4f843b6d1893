"""A stream that was deleted and made again under its name is refused, until someone says to start anew on it."""

import asyncio
import json

import pytest
import structlog

from contracts.errors import Misuse, StreamReplaced
from ingest.kinesis.memory import MemoryStream
from ingest.service.new_stream import move_leases
from tests.builders.consumer import World, broken_chains, fill, until
from tests.builders.virtual_time import run_virtually, true_ms


async def _made_again(world: World, *, shards: int = 1) -> None:
    """The world's stream is deleted, and another of its name is made; time passes, as sequence numbers tell."""
    old = world.stream
    await asyncio.sleep(60)
    world.stream = MemoryStream(shards, now_ms=true_ms)
    world.stream._sequence = old._sequence + 2**90
    for log in world.stream._logs.values():
        log.born_after = world.stream._sequence


async def _consumed(count: int) -> World:
    """A world whose stream was split once and read to its tip."""
    world = World(shards=1)
    fill(world.stream, count)
    world.stream.split(world.stream.open_shards()[0])
    fill(world.stream, count, first=count)
    assert (await world.read_all()).landed == 2 * count
    return world


def test_a_worker_refuses_a_stream_that_was_made_again_and_names_the_command() -> None:
    async def story() -> None:
        world = await _consumed(5)
        before = await world.leases.rows()
        await _made_again(world)
        fill(world.stream, 100)
        for until_idle in (True, False):
            with pytest.raises(StreamReplaced, match="--new-stream"):
                await world.worker("w", until_idle=until_idle).run()
        assert await world.leases.rows() == before

    run_virtually(story())


def test_a_worker_that_runs_ends_when_the_stream_is_made_again() -> None:
    async def story() -> None:
        world = await _consumed(5)
        worker = world.worker("w")
        running = asyncio.create_task(worker.run())
        await until(lambda: len(worker._holdings) == 2)
        world.stream.created_ms += 1
        with pytest.raises(StreamReplaced):
            await running

    run_virtually(story())


@pytest.mark.parametrize("shards", [1, 4])
def test_started_anew_the_new_stream_is_read_and_the_ledger_goes_on(shards: int) -> None:
    async def story() -> None:
        world = await _consumed(5)
        await _made_again(world, shards=shards)
        sent = fill(world.stream, 100, first=10)
        watermark = min(row.watermark_ms for row in await world.leases.rows())
        await move_leases(world.stream, world.leases)
        report = await world.read_all("anew")
        assert (report.landed, report.trimmed) == (100, 0)
        assert sorted(await world.landed_ids()) == sorted({str(number) for number in range(10)} | sent)
        rows, entries = await world.leases.rows(), await world.entries()
        assert broken_chains(rows, entries) == []
        assert min(row.watermark_ms for row in rows) >= watermark
        assert {row.shard_id for row in rows if not row.ended} == set(world.stream.open_shards())
        assert (await world.read_all("again")).read == 0

    run_virtually(story())


def test_a_move_that_broke_off_is_finished_by_the_next() -> None:
    class Breaking:
        def __init__(self, world: World) -> None:
            self.left = 1
            self._inner = world.leases

        def __getattr__(self, name: str) -> object:
            return getattr(self._inner, name)

        async def restart(self, seen: object, anew: object) -> bool:
            self.left -= 1
            if self.left < 0:
                raise ConnectionError
            return await self._inner.restart(seen, anew)  # type: ignore[arg-type]

    async def story() -> None:
        world = await _consumed(5)
        await _made_again(world)
        fill(world.stream, 10, first=10)
        with pytest.raises(ConnectionError):
            await move_leases(world.stream, Breaking(world))  # type: ignore[arg-type]
        with pytest.raises(StreamReplaced):
            await world.read_all("too early")
        await move_leases(world.stream, world.leases)
        assert (await world.read_all("anew")).landed == 10
        assert broken_chains(await world.leases.rows(), await world.entries()) == []

    run_virtually(story())


def test_leases_of_the_stream_that_there_is_are_left_alone() -> None:
    async def story() -> None:
        world = await _consumed(5)
        before = await world.leases.rows()
        with pytest.raises(Misuse, match="already"):
            await move_leases(world.stream, world.leases)
        assert await world.leases.rows() == before

    run_virtually(story())


def test_a_worker_of_the_earlier_stream_commits_nothing_after_the_move() -> None:
    async def story() -> None:
        world = await _consumed(5)
        taken = await world.leases.take(next(row for row in await world.leases.rows() if not row.ended), "old")
        assert taken is not None
        await _made_again(world)
        await move_leases(world.stream, world.leases)
        held = await world.leases.rows()
        assert all(row.owner is None for row in held)
        assert next(row.fence for row in held if row.shard_id == taken.shard_id) == taken.fence + 1

    with structlog.testing.capture_logs() as logs:
        run_virtually(story())
    assert json.dumps([line for line in logs if line["event"] == "stream.left"]).count("position") == 3
