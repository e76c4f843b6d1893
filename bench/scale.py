"""Scales from two workers to eight and back under load: time to balance, lag, and records read more than once.

All of it is graceful: workers come, ask for shards and are handed them; workers that go let theirs go (SIGTERM).
"""

import asyncio
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from bench.one_region import REGION, stack_of_one_region
from bench.rows import Row
from bench.team import Member, Producer, Team, name_of, reconciled, team_on, total

SHARDS, FEW, MANY = 8, 2, 8
RECORDS_PER_S = 2_000
_STEADY_S = 15.0


def run() -> list[Row]:
    """Figures of one run; raises AssertionError where a record is missing, there twice, or a balance is not found."""
    with stack_of_one_region() as state:
        return asyncio.run(scale(state, REGION))


async def scale(state: Path, region: str) -> list[Row]:
    """Scale out and in, and look at what stands in the stores."""
    async with team_on(state, region, SHARDS, flush_age_s=5) as team:
        few = [team.start(f"m{number}") for number in range(FEW)]
        await _balanced(team, few, "start", since_s=time.monotonic())
        producer = Producer(team.stream, RECORDS_PER_S)
        producing = asyncio.create_task(producer.run())
        times = [time.monotonic(), await _later()]
        more = [team.start(f"m{number}") for number in range(FEW, MANY)]
        await _all_started(more)
        out_s = await _balanced(team, [*few, *more], "scale-out", since_s=time.monotonic())
        times.append(await _later())
        stopping = asyncio.create_task(team.stop(more))
        in_s = await _balanced(team, few, "scale-in", since_s=times[-1])
        await stopping
        times.append(await _later())
        producer.stopping = True
        await producing
        await team.all_committed(producer.user_records)
        await team.stop(team.processes)
        counts = await asyncio.to_thread(reconciled, team, producer)
    put, read = producer.user_records, total(team.ended, "read")
    assert counts.pop("landed") == put, counts
    assert not any(counts.values()), counts
    steady_s, out_lag_s, in_lag_s = (_unread_s(team, *window) for window in pairwise(times))
    return [
        Row(what="user records put, landed exactly once", value=put, unit="records"),
        Row(what="user records read more than once", value=read - put, unit="records"),
        Row(what=f"{FEW} to {MANY} workers: a shard each after", value=out_s, unit="s"),
        Row(what=f"{MANY} to {FEW} workers: shared by two after", value=in_s, unit="s"),
        Row(what=f"lag: longest that a shard stood unread, {FEW} workers", value=steady_s, unit="s"),
        Row(what=f"... while {FEW} became {MANY}, and with {MANY}", value=out_lag_s, unit="s"),
        Row(what=f"... while {MANY} became {FEW}, and with {FEW}", value=in_lag_s, unit="s"),
    ]


async def _later() -> float:
    """Go on for a while; the time then."""
    await asyncio.sleep(_STEADY_S)
    return time.monotonic()


def _unread_s(team: Team, from_s: float, to_s: float) -> float:
    """The longest time between two reads of a shard. A read takes all there is, so nothing waits longer than that."""
    reads: dict[str, list[float]] = {}
    for at_s, shard in team.reads:
        if from_s <= at_s <= to_s:
            reads.setdefault(shard, [from_s]).append(at_s)
    return max(later - earlier for times in reads.values() for earlier, later in pairwise([*times, to_s]))


async def _all_started(members: list[Member]) -> None:
    await _until(lambda: all(name_of(member) for member in members), 120, lambda: "a worker did not start")


async def _balanced(team: Team, members: list[Member], when: str, *, since_s: float) -> float:
    """Seconds since then until all shards are owned by these workers, none of which has two more than another."""
    await _all_started(members)
    names = {name_of(member) for member in members}
    while True:
        owners = await team.owners()
        counts = [len(shards) for shards in owners.values()]
        if set(owners) == names and sum(counts) == SHARDS and max(counts) - min(counts) <= 1:
            return time.monotonic() - since_s
        assert time.monotonic() - since_s < 120, f"{when}: {owners}"
        await asyncio.sleep(0.25)


async def _until(condition: Callable[[], bool], within_s: float, failure: Callable[[], str]) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, failure()
        await asyncio.sleep(0.1)
