"""What lies between a machine and a remote part: calls that fail, lose their answer, come late or twice."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from contracts.errors import FleetlakeError, SinkUnavailable
from ingest.kinesis import IteratorExpired, StreamUnavailable, Throttled
from ingest.runtime.metrics import (
    LANDING,
    LEASES,
    LIVE,
    STREAM,
)
from tests.simulation.machines import ClusterLoop, Machine

WRITES = {
    LEASES: {"insert", "take", "renew", "advance", "release", "ask", "remove", "commit", "stream_created_ms"},
    LANDING: {"put_new", "delete"},
    LIVE: {"write", "mark_incomplete", "give_up_rebuild", "end_rebuild", "sweep"},
    STREAM: set(),
}


class Unforeseen(Exception):
    """An error of a class that no part of the consumer knows."""


class Fate(StrEnum):
    """What becomes of one call."""

    SLOW = "slow"
    FAIL = "fail"
    """No effect, an error."""
    LOST = "lost"
    """It took effect; the caller gets an error."""
    LATE = "late"
    """The caller gets an error; it takes effect later, whoever owns what by then."""
    TWICE = "twice"
    """It takes effect, and once more later."""
    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"
    PAUSE_BEFORE = "pause before"
    PAUSE_AFTER = "pause after"
    BREAK = "breaks"
    """An error that nobody foresaw, before it takes effect or after."""


@dataclass(slots=True)
class Weather:
    """How likely each fate is just now, which parts are away, and what the world is told. Calm without rates."""

    chance: random.Random
    rates: dict[Fate, float] = field(default_factory=dict)
    late_s: float = 20.0
    pauses_s: tuple[float, ...] = (3.0, 15.0, 40.0)
    away: set[str] = field(default_factory=set)
    crashes_left: int = 0
    breaks_left: int = 0
    under_way: int = 0
    """Writes that are still to take effect although nobody waits for them."""

    def fate(self, part: str, method: str) -> Fate | None:
        """What becomes of this call; None is nothing unusual."""
        drawn, writes = self.chance.random(), method in WRITES[part]
        if part in self.away:
            return Fate.LOST if writes and drawn < 0.1 else Fate.LATE if writes and drawn < 0.2 else Fate.FAIL
        for fate, rate in self.rates.items():
            drawn -= rate
            if drawn < 0:
                if fate is Fate.BREAK:
                    return fate if self._may_break() else None
                return fate if writes or fate not in _WRITES_ONLY else None
        return None

    def breaks(self) -> bool:
        """Whether a computation breaks in a way that nobody foresaw."""
        rate = self.rates.get(Fate.BREAK, 0.0)
        return rate > 0 and self.chance.random() < rate and self._may_break()

    def _may_break(self) -> bool:
        self.breaks_left -= 1
        return self.breaks_left >= 0

    def calm(self) -> None:
        """From now on everything works."""
        self.rates = {}
        self.away.clear()


_WRITES_ONLY = {Fate.LOST, Fate.LATE, Fate.TWICE}


class Cluster(Protocol):
    """What a remote part asks of the world around it."""

    loop: ClusterLoop
    weather: Weather

    def note(self, who: str, what: str) -> None: ...
    def crash(self, machine: Machine) -> None: ...
    def pause(self, machine: Machine, seconds: float) -> None: ...
    def refused(self, rows: Any) -> None: ...


class Remote:
    """A remote part as one machine sees it; every method of the part may be called."""

    def __init__(self, world: Cluster, machine: Machine, part: str, inner: Any) -> None:
        self._world = world
        self._machine = machine
        self._part = part
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        if name == "list":
            self.list = self._list
            return self._list

        async def call(*args: Any, **more: Any) -> Any:
            return await self._call(name, getattr(self._inner, name), args, more)

        setattr(self, name, call)
        return call

    async def _list(self, prefix: str) -> AsyncIterator[str]:
        async def keys(*_: Any) -> list[str]:
            return [key async for key in self._inner.list(prefix)]

        for key in await self._call("list", keys, (), {}):
            yield key

    async def insert(self, rows: list[Any]) -> None:
        """One row a request, as the table does it: a fault may come between."""
        for row in rows:
            await self._call("insert", self._inner.insert, ([row],), {})

    async def _call(self, name: str, method: Callable[..., Awaitable[Any]], args: Any, more: Any) -> Any:
        world, machine = self._world, self._machine
        if machine.leaving:
            raise asyncio.CancelledError
        fate = world.weather.fate(self._part, name)
        if fate is None:
            return await method(*args, **more)
        world.note(machine.name, f"{name} {fate}")
        await machine.sleep(world.weather.chance.random() * (2.0 if fate is Fate.SLOW else 0.2))
        if fate is Fate.BREAK and world.weather.chance.random() < 0.5:
            raise self._broken(name, args)
        if fate is Fate.LATE:
            self._later(method, args, more, name)
        if fate in (Fate.FAIL, Fate.LATE):
            raise self._error(name)
        if fate is Fate.CRASH_BEFORE:
            await self._crash()
        if fate is Fate.PAUSE_BEFORE:
            await self._pause()
        result = await method(*args, **more)
        if fate is Fate.TWICE:
            self._later(method, args, more, name)
        await self._after(fate, name, args)
        return result

    async def _after(self, fate: Fate, name: str, args: Any) -> None:
        if fate is Fate.BREAK:
            raise self._broken(name, args)
        if fate is Fate.LOST:
            raise self._error(name)
        if fate is Fate.CRASH_AFTER:
            await self._crash()
        if fate is Fate.PAUSE_AFTER:
            await self._pause()
        if fate is Fate.SLOW:
            await self._machine.sleep(self._world.weather.chance.random())

    def _later(self, method: Callable[..., Awaitable[Any]], args: Any, more: Any, name: str) -> None:
        world, who = self._world, self._machine.name
        world.weather.under_way += 1

        async def effect() -> None:
            try:
                await method(*args, **more)
                world.note(who, f"{name} took effect late")
            except FleetlakeError as error:
                world.note(who, f"{name} came too late: {type(error).__name__}")
            finally:
                world.weather.under_way -= 1

        world.loop.outside(
            world.weather.chance.uniform(0.1, world.weather.late_s), lambda: world.loop.create_task(effect())
        )

    async def _crash(self) -> None:
        weather = self._world.weather
        if weather.crashes_left > 0:
            weather.crashes_left -= 1
            self._world.crash(self._machine)
            await asyncio.sleep(0)

    async def _pause(self) -> None:
        weather = self._world.weather
        self._world.pause(self._machine, weather.chance.choice(weather.pauses_s))
        await asyncio.sleep(0)

    def _broken(self, name: str, args: Any) -> Unforeseen:
        if self._part == LIVE and name == "write":
            self._world.refused(args[0])
        return Unforeseen(name)

    def _error(self, name: str) -> FleetlakeError:
        if self._part != STREAM:
            return SinkUnavailable(f"{name}: no answer")
        kinds = (StreamUnavailable, Throttled, IteratorExpired) if name == "get_records" else (StreamUnavailable,)
        return self._world.weather.chance.choice(kinds)(f"{name}: no answer")
