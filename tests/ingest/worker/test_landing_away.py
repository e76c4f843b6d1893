"""Landing is away or slow while shards change hands: live state does not wait for it."""

import asyncio
from typing import Any

import pytest

from ingest.live import MemoryLive
from tests.builders.consumer import Outage, World, broken_chains, fill, until
from tests.builders.virtual_time import run_virtually

DEVICES = 12


class Hanging:
    """A store whose `put_new` does not answer while `down`, as one that is frozen, and then does what it was asked."""

    def __init__(self, inner: Any) -> None:
        self.down = False
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def put_new(self, key: str, data: bytes) -> None:
        while self.down:
            await asyncio.sleep(0.5)
        await self._inner.put_new(key, data)


class Slow:
    """A store that takes seconds to put an object."""

    def __init__(self, inner: Any, seconds: float) -> None:
        self._inner = inner
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def put_new(self, key: str, data: bytes) -> None:
        await asyncio.sleep(self._seconds)
        await self._inner.put_new(key, data)


class Traffic:
    """A record of each device each second; and how far live state is behind the records that were put."""

    def __init__(self, world: World) -> None:
        self.sent: set[str] = set()
        self.behind_s = 0.0
        self._world = world
        self._put_s: dict[int, float] = {}

    async def run(self) -> None:
        """Put and look, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            first = len(self.sent)
            self.sent |= fill(self._world.stream, DEVICES, first=first, devices=DEVICES)
            self._put_s |= dict.fromkeys(range(first, first + DEVICES), loop.time())
            for _ in range(4):
                await asyncio.sleep(0.25)
                await self._look(loop.time())

    async def _look(self, now_s: float) -> None:
        for device in range(DEVICES):
            latest = await self._world.live.latest(f"d{device}") or b""
            missing = [number for number in self._put_s if number % DEVICES == device]
            for number in missing:
                if b'"event_id":"%d"' % number in latest:
                    self._put_s = {n: at for n, at in self._put_s.items() if n % DEVICES != device or n > number}
        oldest_s = min(self._put_s.values(), default=now_s)
        self.behind_s = max(self.behind_s, now_s - oldest_s)


@pytest.mark.parametrize("kind", ["refuses", "hangs"])
def test_live_state_stays_fresh_while_a_worker_joins_and_landing_is_away(kind: str) -> None:
    async def story() -> None:
        world = World(shards=2, live=MemoryLive())
        store: Any = Outage(world.store, "put_new") if kind == "refuses" else Hanging(world.store)
        one = world.worker("one", world.parts(store=store), flush_age_s=5)
        two = world.worker("two", world.parts(store=store), flush_age_s=5)
        traffic = Traffic(world)
        tasks = [asyncio.create_task(one.run()), asyncio.create_task(traffic.run())]
        await asyncio.sleep(10)
        store.down = True
        tasks.append(asyncio.create_task(two.run()))
        await asyncio.sleep(60)
        assert two.health().shards == []
        assert traffic.behind_s < 3, f"live state is {traffic.behind_s:.1f} s behind"
        store.down = False
        await until(lambda: len(two.health().shards) == 1, within_s=15)
        await asyncio.sleep(10)
        assert traffic.behind_s < 3
        tasks.pop(1).cancel()
        for worker in (one, two):
            worker.stop()
        await asyncio.gather(*tasks)
        assert one.totals.user_records_read + two.totals.user_records_read == len(traffic.sent), "nothing is read twice"
        await world.read_all("rest")
        assert sorted(await world.landed_ids()) == sorted(traffic.sent)
        assert broken_chains(await world.leases.rows(), await world.entries()) == []

    run_virtually(story())


def test_a_worker_that_must_end_while_landing_is_away_lets_its_shards_go_without_the_flush() -> None:
    async def story() -> None:
        world = World(shards=2, live=MemoryLive())
        store = Outage(world.store, "put_new")
        one = world.worker("one", world.parts(store=store), flush_age_s=5)
        two = world.worker("two", world.parts(store=store), flush_age_s=5)
        traffic = Traffic(world)
        tasks = [asyncio.create_task(worker.run()) for worker in (one, two)]
        tasks.append(asyncio.create_task(traffic.run()))
        await until(lambda: len(one.health().shards) == len(two.health().shards) == 1)
        await asyncio.sleep(10)
        store.down = True
        await asyncio.sleep(10)
        stopped_s = asyncio.get_running_loop().time()
        one.stop()
        report = await tasks.pop(0)
        assert len(report.not_committed) == 1
        assert asyncio.get_running_loop().time() - stopped_s < 22
        await until(lambda: len(two.health().shards) == 2, within_s=5)
        await asyncio.sleep(5)
        assert traffic.behind_s < 6, f"live state is {traffic.behind_s:.1f} s behind"
        store.down = False
        tasks.pop().cancel()
        two.stop()
        await asyncio.gather(*tasks)
        await world.read_all("rest")
        assert sorted(await world.landed_ids()) == sorted(traffic.sent)
        assert broken_chains(await world.leases.rows(), await world.entries()) == []

    run_virtually(story())


def test_a_store_that_is_only_slow_gets_the_time_that_a_hand_over_needs() -> None:
    async def story() -> None:
        world = World(shards=2, live=MemoryLive())
        store = Slow(world.store, 3.0)
        one = world.worker("one", world.parts(store=store), flush_age_s=5)
        two = world.worker("two", world.parts(store=store), flush_age_s=5)
        traffic = Traffic(world)
        tasks = [asyncio.create_task(one.run()), asyncio.create_task(traffic.run())]
        await asyncio.sleep(10)
        tasks.append(asyncio.create_task(two.run()))
        await until(lambda: len(two.health().shards) == 1, within_s=40)
        assert traffic.behind_s < 8
        tasks.pop(1).cancel()
        for worker in (one, two):
            worker.stop()
        await asyncio.gather(*tasks)
        assert one.totals.user_records_read + two.totals.user_records_read == len(traffic.sent)
        assert sorted(await world.landed_ids()) == sorted(traffic.sent)

    run_virtually(story())
