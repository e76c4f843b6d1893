"""One random history: a cluster drawn from a seed, what befalls it, how it heals, and what of its promises broke."""

import asyncio
import gc
import logging
import random
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import structlog

from ingest.kinesis.cursor import ReadLimits
from ingest.worker import Options
from tests.simulation.devices import BREAKING, SLOW
from tests.simulation.landed import encoding
from tests.simulation.machines import ClusterLoop
from tests.simulation.promises import broken_promises
from tests.simulation.remote import Fate, Unforeseen, Weather
from tests.simulation.settling import left
from tests.simulation.trace import Trace
from tests.simulation.world import Life, Made, Setting, World

_HOUR_MS = 3_600_000
_FIRST_HOUR_MS = 497_222 * _HOUR_MS
_SETTLE_S = 400.0
_LOOK_S = 2.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a history went."""

    seed: int
    broken: list[str]
    digest: str
    lines: list[str]
    records: int
    virtual_s: float
    commits: int


@dataclass(frozen=True, slots=True)
class Plot:
    """What a history is drawn from: its setting, and what happens in it before all heals."""

    setting: Callable[[random.Random], Setting]
    trouble: Callable[[World], Awaitable[None]]
    rare: Callable[[random.Random], dict[str, Any]] = lambda odd: {}
    """Fields of the setting that are drawn apart: the other draws of a seed stay as they are."""


def play(seed: int, made: Made | None = None, plot: Plot | None = None) -> Outcome:
    """Play the history of a seed to its end. `made` replaces parts, for mutants; `plot` is ANYTHING where not given."""
    plot = plot or ANYTHING
    chance = random.Random(f"fleetlake/{seed}")
    loop = ClusterLoop(_FIRST_HOUR_MS - chance.randrange(90_000))
    trace = Trace()
    weather = Weather(chance)
    setting = replace(plot.setting(chance), made=made or Made(), **plot.rare(random.Random(f"fleetlake/odd/{seed}")))
    setting.options = replace(setting.options, **setting.made.options)
    world = World(loop, setting, weather, trace)
    gc.disable()
    loop.set_exception_handler(_unless_put_in)
    asyncio.set_event_loop(loop)
    try:
        with _quiet(), encoding(parquet=setting.parquet):
            broken = loop.run_until_complete(_history(world, plot))
    except Exception as error:  # noqa: BLE001 - whatever breaks a history, its seed must be told
        trace.lines.append(traceback.format_exc())
        broken = [f"the history itself failed: {error!r}"]
    finally:
        asyncio.set_event_loop(None)
        loop.close()
        gc.enable()
    return Outcome(seed, broken, trace.digest(), trace.lines, len(world.devices.sent), loop.time(), world.audit.commits)


def _unless_put_in(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tell what went wrong and was asked for by nobody; of what a worker meets while it ends, only the first is."""
    if not isinstance(context.get("exception"), Unforeseen):
        loop.default_exception_handler(context)


@contextmanager
def _quiet() -> Iterator[None]:
    """No log: the trace tells what happened."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


async def _history(world: World, plot: Plot) -> list[str]:
    world.loop.create_task(world.watch())
    await plot.trouble(world)
    unsettled = await _settle(world)
    broken = broken_promises(world)
    world.trace.lines.append(f"audit {world.audit.commits} commits, {len(world.devices.sent)} records, {broken}")
    await world.clear()
    return [*broken, f"it does not settle: {unsettled}"] if unsettled else broken


def _setting(chance: random.Random) -> Setting:
    options = Options(
        flush_rows=chance.choice((10, 40, 1_000)),
        flush_age_s=chance.choice((3.0, 8.0, 15.0)),
        buffer_bytes=chance.choice((40_000, 1_000_000)),
        open_hours=chance.choice((1, 2, 6)),
        watermark_every_s=5.0,
        watermark_behind_ms=15_000,
        sweep_every_s=20.0,
        sweep_all_every_s=60.0,
        look_every_s=3.5,
        limits=ReadLimits(reads_per_s=5.0, idle_wait_s=3.5),
        workers=chance.choice((1, 2, 3)),
    )
    return Setting(
        options=options,
        shards=chance.randint(1, 3),
        jitter_ms=chance.choice((0, 4_000, 60_000)),
        retention_ms=chance.choice((24, 24, 24, 1)) * _HOUR_MS,
        throttle=chance.random() < 0.2,
        hollow_every=chance.choice((0, 0, 3)),
        skews_ms=[chance.choice((0, -7_200_000, 300_000, 86_400_000)) for _ in range(4)],
        paces=[chance.choice((1.0, 0.9, 1.1)) for _ in range(4)],
        slow_encoding=chance.random() < 0.3,
        parquet=chance.random() < 0.05,
    )


def _rare(odd: random.Random) -> dict[str, Any]:
    return {
        "slow_s": odd.choice((0.0,) * 9 + (15.0,)),
        "forgetful": odd.choice((0.0,) * 9 + (0.05,)),
        "breaking": odd.choice((0.0,) * 9 + (0.03,)),
        "scripted": odd.random() < 0.05,
    }


_WORST = {
    Fate.SLOW: 0.1,
    Fate.FAIL: 0.05,
    Fate.LOST: 0.05,
    Fate.LATE: 0.04,
    Fate.TWICE: 0.05,
    Fate.CRASH_BEFORE: 0.004,
    Fate.CRASH_AFTER: 0.004,
    Fate.PAUSE_BEFORE: 0.004,
    Fate.PAUSE_AFTER: 0.004,
}


async def _trouble(world: World) -> None:
    """Records are put while things happen to the cluster."""
    chance, weather = world.chance, world.weather
    weather.rates = {fate: chance.random() * most for fate, most in _WORST.items() if chance.random() < 0.5}
    if world.setting.breaking:
        weather.rates[Fate.BREAK], weather.breaks_left = world.setting.breaking, 6
    weather.crashes_left = chance.randint(0, 3)
    weather.late_s = chance.choice((5.0, 30.0))
    slots = chance.choice((2, 2, 2, 3, 4))
    for slot in range(slots):
        world.start(slot)
    for place in range(chance.randint(3, 7)):
        await asyncio.sleep(chance.random() * 7)
        world.devices.put(chance.randint(0, 25))
        _befall(world, chance.choice(_EVENTS), slots)
        if world.setting.slow_s and place == 1:
            world.devices.put_odd(SLOW)
        if world.setting.breaking and place == 1:
            world.devices.put_odd(BREAKING)
        for slot in range(slots):
            if chance.random() < 0.3 and not any(life.slot == slot for life in world.running):
                world.start(slot)


_EVENTS = ("", "", "crash", "crash", "stop", "pause", "pause", "outage", "outage", "split", "split", "merge", "suspend",
           "wipe", "join", "flood")  # fmt: skip


def _befall(world: World, event: str, slots: int) -> None:
    chance = world.chance
    life = chance.choice(world.running) if world.running else None
    if event == "crash" and life is not None:
        world.crash(life.machine)
    elif event == "stop" and life is not None:
        world.note(life.machine.name, "is asked to stop")
        _stop(life)
    elif event == "pause" and life is not None:
        world.pause(life.machine, chance.choice((5.0, 15.0, 30.0)))
    elif event == "join" and len(world.running) < 4:
        world.start(chance.randrange(slots))
    elif event == "outage":
        _outage(world)
    elif event in {"split", "merge"}:
        _reshard(world, event)
    elif event == "suspend":
        _suspend(world)
    elif event == "flood" and chance.random() < 0.3:
        _flood(world)
    elif event == "wipe":
        world.note("live", "is wiped")
        world.live.wipe()


def _stop(life: Life) -> None:
    life.machine.call(life.worker.stop)


def _outage(world: World) -> None:
    part, seconds = world.chance.choice(("landing", "leases", "live", "stream")), world.chance.choice((3.0, 12.0, 30.0))
    world.note(part, f"is away for {seconds:.0f} s")
    world.weather.away.add(part)
    world.loop.outside(seconds, lambda: world.weather.away.discard(part))


def _flood(world: World) -> None:
    """Landing is away while more comes than a worker may hold."""
    world.note("landing", "is away in a flood")
    world.weather.away.add("landing")
    world.loop.outside(25.0, lambda: world.weather.away.discard("landing"))
    for place in range(4):
        world.weather.under_way += 1
        world.loop.outside(1.0 + 3 * place, lambda: _pour(world))


def _pour(world: World) -> None:
    world.weather.under_way -= 1
    world.devices.put(25)


def _reshard(world: World, event: str) -> None:
    opened, pairs = world.stream.open_shards(), world.stream.neighbours()
    if event == "split" and len(opened) < 6:
        shard = world.chance.choice(opened)
        world.note("stream", f"{shard} is split into {world.stream.split(shard)}")
    elif event == "merge" and pairs:
        pair = world.chance.choice(pairs)
        world.note("stream", f"{pair[0]} and {pair[1]} are merged into {world.stream.merge(*pair)}")


def _suspend(world: World) -> None:
    """Everything stands still for minutes or hours, while devices go on."""
    frozen = [life.machine for life in world.running if not life.machine.frozen]
    for machine in frozen:
        machine.freeze()
    minutes = world.chance.choice((6, 50, 100, 300))
    world.note("cluster", f"is suspended for {minutes} min")
    for _ in range(world.chance.randint(1, 4)):
        world.loop.jump(world.chance.random() * minutes * 30)
        world.devices.put(world.chance.randint(0, 10))
    world.loop.jump(minutes * 30)
    for machine in frozen:
        world.loop.outside(world.chance.random() * 5, machine.thaw)


async def _settle(world: World) -> str:
    """Heal everything, let it run until nothing is left to do, and stop all workers; what is left where it never is."""
    world.note("world", "heals")
    world.weather.calm()
    for life in world.lives:
        life.machine.thaw()
    world.start(0)
    until_s = world.loop.time() + _SETTLE_S
    while rest := left(world):
        if world.loop.time() > until_s:
            return rest
        await asyncio.sleep(_LOOK_S)
    for life in world.running:
        _stop(life)
    while world.running and world.loop.time() <= until_s + _SETTLE_S:
        await asyncio.sleep(_LOOK_S)
    return f"{[life.machine.name for life in world.running]} do not end" if world.running else ""


ANYTHING = Plot(_setting, _trouble, _rare)
"""Whatever may befall a cluster."""
