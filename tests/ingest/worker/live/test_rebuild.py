"""Live state is called complete only where it is, and is rebuilt by one worker, no more often than that may help."""

import asyncio
from typing import Any

import pytest

from contracts.errors import SinkUnavailable
from contracts.ledger import LedgerEntry
from ingest.leases import protocol
from ingest.leases.memory import MemoryLeases
from ingest.live import MemoryLive
from ingest.worker import Options
from ingest.worker.compose import live_state_rebuilder
from ingest.worker.live.rebuild import LiveStateRebuilder
from tests.builders.consumer import World, fill, until
from tests.builders.virtual_time import run_virtually, true_ms

DAY_MS = 86_400_000


class Counted(MemoryLive):
    """Counts rebuilds, and can hold or fail what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0
        self.down = False
        self.hangs: asyncio.Event | None = None
        self.at_the_end: Any = None

    async def epoch(self) -> str | None:
        if self.hangs is not None:
            await self.hangs.wait()
        if self.down:
            raise SinkUnavailable("away")
        return await super().epoch()

    async def begin_rebuild(self, token: str) -> None:
        self.begun += 1
        await super().begin_rebuild(token)

    async def end_rebuild(self, token: str) -> bool:
        ended = await super().end_rebuild(token)
        if self.at_the_end is not None:
            self.at_the_end()
        return ended


class Losing:
    """A rebuilder, and what its worker found missing."""

    def __init__(self, world: World, live: Counted, worker: str = "w") -> None:
        self.live_gaps = 0
        self.rebuilder = _rebuilder(world, live, worker, live_gaps=lambda: self.live_gaps)


def _rebuilder(
    world: World, live: Counted, worker: str, *, unseen_ms: int = 30 * DAY_MS, live_gaps: Any = lambda: 0
) -> LiveStateRebuilder:
    options = Options(live_unseen_ms=unseen_ms)
    found = live_state_rebuilder(world.parts(live=live), options, worker, live_gaps=live_gaps)
    assert found is not None
    return found


async def _landed(count: int = 50) -> tuple[World, Counted]:
    live = Counted()
    world = World(shards=2, live=live)
    fill(world.stream, count, devices=10)
    await world.read_all()
    return world, live


def test_what_is_lost_while_the_store_hangs_is_not_forgotten() -> None:
    async def story() -> None:
        world, live = await _landed()
        found = Losing(world, live)
        await found.rebuilder.look()
        assert found.rebuilder.complete
        live.hangs = asyncio.Event()
        looking = asyncio.create_task(found.rebuilder.look())
        await asyncio.sleep(1)
        found.live_gaps += 1
        assert not found.rebuilder.complete
        live.down = True
        live.hangs.set()
        await looking
        live.down = False
        assert not found.rebuilder.complete
        before = live.begun
        await found.rebuilder.look()
        assert (found.rebuilder.complete, live.begun) == (True, before + 1)

    run_virtually(story())


def test_what_is_lost_while_a_rebuild_ends_is_made_good_by_the_next() -> None:
    async def story() -> None:
        world, live = await _landed()
        await live.mark_incomplete()
        found = Losing(world, live)

        def lose() -> None:
            found.live_gaps += 1
            live.at_the_end = None

        live.at_the_end = lose
        await found.rebuilder.look()
        assert not found.rebuilder.complete
        before = live.begun
        await found.rebuilder.look()
        assert (found.rebuilder.complete, live.begun) == (True, before + 1)

    run_virtually(story())


def test_a_store_that_does_not_answer_is_not_called_complete() -> None:
    async def story() -> None:
        world, live = await _landed()
        found = Losing(world, live)
        await found.rebuilder.look()
        live.down = True
        await found.rebuilder.look()
        assert not found.rebuilder.complete

    run_virtually(story())


def test_readers_are_told_at_once_where_live_state_lacks_something() -> None:
    async def story() -> None:
        world, live = await _landed()
        found = Losing(world, live)
        await live.begin_rebuild("of another")
        found.live_gaps += 1
        row, _ = await world.leases.rows()
        await world.leases.take(row, "another")
        await found.rebuilder.look()
        assert await live.epoch() is None, "the rebuild is another's"
        assert not await live.end_rebuild("of another"), "it may have passed by what was lost"

    run_virtually(story())


def test_one_worker_rebuilds_and_the_others_wait() -> None:
    async def story() -> None:
        world, live = await _landed()
        await live.mark_incomplete()
        first, second = await world.leases.rows()
        await world.leases.take(first, "a")
        await world.leases.take(second, "b")
        other = Losing(world, live, "b")
        await other.rebuilder.look()
        assert (await live.epoch(), live._rebuilds) == (None, set())
        looking = asyncio.create_task(Losing(world, live, "a").rebuilder.look())
        await asyncio.sleep(5)
        for row in await world.leases.rows():
            await world.leases.advance(row, true_ms() + 60_000)
        await looking
        await other.rebuilder.look()
        assert other.rebuilder.complete

    run_virtually(story())


@pytest.mark.parametrize("lost_again", [False, True])
def test_a_rebuild_that_lacks_landing_is_repeated_ever_more_rarely_unless_all_was_lost_again(lost_again: bool) -> None:
    async def story() -> None:
        world, live = await _landed()
        world.store.objects.pop(min(world.store.objects))
        await live.mark_incomplete()
        live.begun = 0
        worker = world.worker("w", flush_age_s=5)
        running = asyncio.create_task(worker.run())
        await until(lambda: live.begun > 0, within_s=30)
        await asyncio.sleep(250)
        assert live.begun == 2
        assert len(live._rebuilds) <= 1
        before = live.begun
        if lost_again:
            await live.mark_incomplete()
        await asyncio.sleep(40)
        assert live.begun == before + lost_again
        assert await live.epoch() is None
        worker.stop()
        assert (await running).live_missing

    run_virtually(story())


def test_an_expired_object_of_which_live_state_would_forget_all_is_not_missed() -> None:
    async def story() -> None:
        world, live = await _landed()
        world.store.objects.clear()
        await live.mark_incomplete()
        soon = _rebuilder(world, live, "w")
        await soon.look()
        assert not soon.complete
        await asyncio.sleep(2 * 3_600)
        late = _rebuilder(world, live, "w", unseen_ms=3_600_000)
        await late.look()
        assert late.complete

    run_virtually(story())


def test_a_rebuild_reads_the_ledger_no_further_back_than_live_state_remembers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "ENTRIES_A_PAGE", 1)

    class Watched(MemoryLeases):
        pages = 0

        async def entries_before(self, *args: Any, **more: Any) -> list[LedgerEntry]:
            self.pages += 1
            return await super().entries_before(*args, **more)

    async def story() -> None:
        live, leases = Counted(), Watched()
        world = World(shards=1, live=live)
        world.leases = leases
        for number in range(6):
            fill(world.stream, 10, first=10 * number, devices=10)
            await world.read_all()
            await asyncio.sleep(3_600)
        expired = sorted(world.store.objects)[:2]
        for key in expired:
            del world.store.objects[key]
        await live.mark_incomplete()
        late = _rebuilder(world, live, "w", unseen_ms=2 * 3_600_000)
        await late.look()
        assert late.complete
        assert leases.pages <= 4

    run_virtually(story())
