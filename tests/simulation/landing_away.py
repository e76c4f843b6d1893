"""Histories in which landing is away while workers come and go, and nothing else goes wrong: live state stays fresh.

A hand-over's pause may hold it up, or the reading again of what the last owner could not commit; but not the outage,
however long it is.
"""

import asyncio
import random
from collections import deque

from ingest.kinesis.cursor import ReadLimits
from ingest.worker import Options
from tests.simulation.history import Plot
from tests.simulation.world import Setting, World

MOST_BEHIND_S = 10.0
"""A worker that leaves waits for landing and reads on meanwhile; then the next one finds the shard free, half a lease
later, and reads again what was not committed."""
_SECONDS = 64
_DAY_MS = 86_400_000


class Freshness:
    """How far live state is behind what devices put."""

    def __init__(self, world: World) -> None:
        self.most_behind_s = 0.0
        self._world = world
        self._put: deque[tuple[float, int]] = deque()

    def put(self, count: int) -> None:
        """Devices put so many records."""
        first = len(self._world.devices.sent)
        self._world.devices.put(count)
        now_s = self._world.loop.time()
        self._put.extend((now_s, number) for number in range(first, len(self._world.devices.sent)))

    def look(self) -> None:
        """Note the age of the oldest record that live state lacks."""
        shown, sent = self._world.live.orders, self._world.devices.sent
        while self._put and sent[self._put[0][1]].order <= shown.get(sent[self._put[0][1]].device, ""):
            self._put.popleft()
        if self._put:
            self.most_behind_s = max(self.most_behind_s, self._world.loop.time() - self._put[0][0])


def _setting(chance: random.Random) -> Setting:
    options = Options(
        flush_rows=chance.choice((10, 1_000)),
        flush_age_s=chance.choice((3.0, 15.0)),
        watermark_every_s=5.0,
        watermark_behind_ms=15_000,
        sweep_every_s=20.0,
        sweep_all_every_s=60.0,
        look_every_s=1.0,
        limits=ReadLimits(reads_per_s=5.0, idle_wait_s=1.0),
    )
    return Setting(
        options=options,
        shards=chance.randint(2, 4),
        jitter_ms=0,
        retention_ms=_DAY_MS,
        throttle=False,
        hollow_every=0,
        skews_ms=[chance.choice((0, -7_200_000, 86_400_000)) for _ in range(4)],
        paces=[chance.choice((1.0, 0.9, 1.1)) for _ in range(4)],
        slow_encoding=chance.random() < 0.3,
        parquet=False,
    )


async def _trouble(world: World) -> None:
    chance, fresh = world.chance, Freshness(world)
    at_first = chance.randint(1, 2)
    for slot in range(at_first):
        world.start(slot)
    away_s, for_s = chance.randrange(6, 12, 2), chance.choice((20, 45))
    joins_s, leaves_s = away_s + chance.randrange(0, 8, 2), away_s + chance.randrange(12, 30, 2)
    for second in range(0, _SECONDS, 2):
        if second == away_s:
            world.note("landing", f"is away for {for_s} s")
            world.weather.away.add("landing")
            world.loop.outside(for_s, lambda: world.weather.away.discard("landing"))
        if second == joins_s:
            world.start(at_first)
        if second == leaves_s and chance.random() < 0.5:
            life = world.running[0]
            world.note(life.machine.name, "is asked to stop")
            life.machine.call(life.worker.stop)
        fresh.put(chance.randint(1, 8))
        for _ in range(2):
            await asyncio.sleep(1.0)
            fresh.look()
    world.note("live", f"was {fresh.most_behind_s:.1f} s behind at most")
    if fresh.most_behind_s > MOST_BEHIND_S:
        world.audit.broken.append(f"live state was {fresh.most_behind_s:.1f} s behind")


LANDING_AWAY = Plot(_setting, _trouble)
