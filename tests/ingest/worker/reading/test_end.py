"""A shard's end is believed only with the stream's own word: its children, or its place in the list of shards."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ingest.kinesis import Shard
from ingest.kinesis.memory import MemoryStream
from ingest.kinesis.protocol import Records
from tests.builders.consumer import World, fill, until
from tests.builders.virtual_time import run_virtually, true_ms


class Forgetful(MemoryStream):
    """A stream whose answers lack the next iterator where `when` says so, and never name a shard's children."""

    def __init__(self, when: Callable[[int, Records], bool], *, names_children: bool = True) -> None:
        super().__init__(1, now_ms=true_ms)
        self._when = when
        self._names_children = names_children
        self.answers = 0

    async def get_records(self, iterator: str, limit: int = 10_000, **more: Any) -> Records:
        answer = await super().get_records(iterator, min(limit, 5), **more)
        self.answers += 1
        if self._when(self.answers, answer):
            return replace(answer, next_iterator=None, child_shards=[])
        return answer if self._names_children else replace(answer, child_shards=[])


def _world(stream: MemoryStream) -> World:
    world = World(shards=1)
    world.stream = stream
    return world


@pytest.mark.parametrize("when", ["at the tip", "with records", "always, for a while"])
def test_an_open_shard_does_not_end_by_an_answer_without_iterator(when: str) -> None:
    cases: dict[str, Callable[[int, Records], bool]] = {
        "at the tip": lambda number, answer: number == 2 and not answer.records,
        "with records": lambda number, answer: number == 1 and bool(answer.records),
        "always, for a while": lambda number, answer: number < 8,
    }

    async def story() -> None:
        world = _world(Forgetful(cases[when]))
        sent = fill(world.stream, 5)
        worker = world.worker("w", flush_age_s=1)
        running = asyncio.create_task(worker.run())
        await until(lambda: worker.totals.landed == 5, within_s=120)
        sent |= fill(world.stream, 100, first=5)
        await until(lambda: worker.totals.landed == 105, within_s=120)
        worker.stop()
        report = await running
        (row,) = await world.leases.rows()
        assert (row.ended, report.trimmed) == (False, 0)
        assert sorted(await world.landed_ids()) == sorted(sent)

    run_virtually(story())


@pytest.mark.parametrize("names_children", [True, False])
@pytest.mark.parametrize("mistaken", [0, 1, 2])
def test_a_closed_shard_is_read_to_its_last_record_whatever_an_answer_lacks(
    names_children: bool, mistaken: int
) -> None:
    async def story() -> None:
        def when(number: int, answer: Records) -> bool:
            return number == mistaken and bool(answer.records)

        stream = Forgetful(when, names_children=names_children)
        world = _world(stream)
        sent = fill(stream, 23)
        stream.split(stream.open_shards()[0])
        sent |= fill(stream, 10, first=23)
        report = await world.read_all()
        assert sorted(await world.landed_ids()) == sorted(sent)
        assert report.trimmed == 0
        assert [row.ended for row in await world.leases.rows()] == [True, False, False]

    run_virtually(story())


def test_a_list_without_the_shard_is_the_streams_word_for_its_end() -> None:
    class Unlisted(Forgetful):
        async def list_shards(self) -> list[Shard]:
            listed = await super().list_shards()
            return listed if self.answers < 2 else [shard for shard in listed if not shard.closed]

    async def story() -> None:
        stream = Unlisted(lambda *_: False, names_children=False)
        world = _world(stream)
        sent = fill(stream, 5)
        stream.split(stream.open_shards()[0])
        sent |= fill(stream, 5, first=5)
        assert (await world.read_all()).landed == 10
        assert sorted(await world.landed_ids()) == sorted(sent)

    run_virtually(story())
