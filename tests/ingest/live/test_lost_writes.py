"""A Redis that crashes comes back without its last moments: that is found out, and live state is rebuilt."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import stack
from contracts.errors import SinkUnavailable
from contracts.settings import RegionSettings
from ingest.live import RedisLive
from stack.layout import Layout
from tests.builders.consumer_process import wait_until
from tests.builders.ingest import ARRIVAL_MS, landing_rows
from tests.builders.stack import kill, process_of, stack_folder


@pytest.fixture(scope="module")
def own_stack() -> Iterator[tuple[Path, Path]]:
    """State folder and region table of a stack that a test may crash."""
    with stack_folder() as (state, regions_file):
        stack.up(state, regions_file)
        yield state, regions_file


@asynccontextmanager
async def live_state(state: Path) -> AsyncIterator[RedisLive]:
    live = RedisLive.of(RegionSettings.load(stack.region_environment(state, "eu", {})))
    yield live
    await live.close()


def rows(*devices: str, seq: int) -> Any:
    at_ms = ARRIVAL_MS + seq
    placed = {"ts_ms": at_ms, "arrival_ms": at_ms, "seq": seq, "flags": 0}
    return landing_rows([{"device_id": device, **placed} for device in devices])


def append_only(state: Path) -> Path:
    (path,) = Layout.of(state).data("redis").rglob("*.incr.aof")
    return path


def size_with(state: Path, note: bytes) -> int:
    """The log's size once the note is in it: while a disk is slow, the server answers before it has written."""
    wait_until(lambda: note in append_only(state).read_bytes(), 30)
    return append_only(state).stat().st_size


async def lose_what_came_after(size: int, own_stack: tuple[Path, Path], live: RedisLive) -> None:
    """kill -9 the server and take the end from its log, as a host's crash does; start it and connect again."""
    state, regions_file = own_stack
    kill(process_of(state, "redis"))
    with append_only(state).open("r+b") as log:
        log.truncate(size)
    await asyncio.to_thread(stack.up, state, regions_file)
    with suppress(SinkUnavailable):
        await live.epoch()  # the connection of before


def test_writes_that_a_crashed_server_lost_start_a_rebuild(own_stack: tuple[Path, Path]) -> None:
    async def scenario() -> None:
        async with live_state(own_stack[0]) as live:
            await live.begin_rebuild("whole")
            assert await live.end_rebuild("whole")
            await live.write(rows("kept", seq=1))
            await live.begin_rebuild("going on")
            size = size_with(own_stack[0], b"going on")
            await live.write(rows("silent", seq=2))
            await lose_what_came_after(size, own_stack, live)

            assert await live.latest("silent") is None, "it was told that this is there"
            assert await live.epoch() == "whole", "and the epoch says that live state is complete"
            await live.write(rows("kept", seq=3))
            assert await live.epoch() is None

            await live.begin_rebuild("again")
            await live.write(rows("kept", "silent", seq=2))
            assert not await live.end_rebuild("going on"), "what it wrote may be lost"
            assert await live.end_rebuild("again")
            await live.write(rows("kept", seq=4))
            assert await live.epoch() == "again", "a loss is found out once"

    asyncio.run(scenario())


def test_a_rebuild_whose_last_writes_were_lost_sets_no_epoch(own_stack: tuple[Path, Path]) -> None:
    async def scenario() -> None:
        async with live_state(own_stack[0]) as live:
            await live.write(rows("kept", seq=5))
            await live.begin_rebuild("first")
            size = size_with(own_stack[0], b"first")
            await live.write(rows("rebuilt", seq=6))
            await lose_what_came_after(size, own_stack, live)
            assert not await live.end_rebuild("first")

    asyncio.run(scenario())
