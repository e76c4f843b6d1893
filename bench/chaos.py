"""Four workers on eight shards; one is killed (kill -9) every few seconds while shards split and merge.

FLEETLAKE_BENCH_CHAOS_S (60) is how long; FLEETLAKE_BENCH_READING (polling) may be fan-out; FLEETLAKE_BENCH_STREAM (the
project's double) may be kinesis-local, which is slower and keeps no log of reads. Fails where a record is
missing or there twice, where a chain of the ledger is broken, or where a shard is not read again.
"""

import asyncio
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from bench.one_region import REGION, stack_of_one_region
from bench.rows import Row
from bench.team import Producer, Team, name_of, quantile, reconciled, team_on

SHARDS, WORKERS = 8, 4
RECORDS_PER_S = 2_000
KINESIS_LOCAL_RECORDS_PER_S = 300
_IN_FLIGHT_S = 0.25
"""How late a dead worker's last request may reach the server."""


class Pace(NamedTuple):
    """The timing of events in seconds; values are drawn evenly from ranges."""

    kill_every_s: tuple[float, float] = (3.0, 6.0)
    reshard_every_s: float = 4.0
    away_s: tuple[float, float] = (0.0, 3.0)
    """Until another machine has taken a dead one's place."""
    lease_ttl_s: float = 10.0
    least_kills: int = 0
    """It goes on until there were so many, on a machine however slow."""


class Kill(NamedTuple):
    """One death, and the shards that stood in its name."""

    at_s: float
    shards: list[str]
    same_machine: bool
    """Whether the same machine started a worker again at once; else it was another, seconds later."""


@dataclass
class Gaps:
    """Seconds from a death until each of its shards was read again."""

    same_machine_s: list[float] = field(default_factory=list)
    """The machine started a worker again at once."""
    another_s: list[float] = field(default_factory=list)
    """It did not: its leases had to expire."""
    compounded_s: list[float] = field(default_factory=list)
    """The next owner was killed too before it read, or all who had seen the dead one's last sign of life were."""
    never: list[str] = field(default_factory=list)

    def of(self, how: str) -> list[float]:
        """The gaps of one kind."""
        return {"same machine": self.same_machine_s, "another machine": self.another_s}.get(how, self.compounded_s)


@dataclass
class Outcome:
    """The result of a run."""

    counts: dict[str, int]
    put: int
    broken: int
    kills: list[Kill]
    splits: int
    merges: int
    gaps: Gaps


def run() -> list[Row]:
    """Figures of a run; raises AssertionError where a promise was broken."""
    seconds = float(os.environ.get("FLEETLAKE_BENCH_CHAOS_S", "60"))
    with stack_of_one_region() as state:
        outcome = asyncio.run(chaos(state, REGION, seconds, Pace()))
    check(outcome)
    return _rows(outcome)


def check(outcome: Outcome) -> None:
    """Raise AssertionError where a promise was broken."""
    counts = dict(outcome.counts)
    assert counts.pop("landed") == outcome.put, outcome.counts
    assert counts.pop("rejected") == outcome.broken, outcome.counts
    assert not any(counts.values()), outcome.counts
    assert not outcome.gaps.never, f"not read again: {outcome.gaps.never}"


async def chaos(state: Path, region: str, seconds: float, pace: Pace, *, seed: int = 1) -> Outcome:
    """Run it, wait until everything is committed, and look at what stands in the stores."""
    reading = os.environ.get("FLEETLAKE_BENCH_READING", "polling")
    async with team_on(state, region, SHARDS, flush_age_s=2, lease_ttl_s=pace.lease_ttl_s, reading=reading) as team:
        rate = RECORDS_PER_S if team.server else KINESIS_LOCAL_RECORDS_PER_S
        producer = Producer(team.stream, rate, broken_every=997)
        for number in range(WORKERS):
            team.start(f"m{number}")
        await _until_all_owned(team)
        trouble = _Trouble(team, pace, random.Random(seed))
        tasks = [asyncio.create_task(work) for work in (producer.run(), trouble.kill_some(), trouble.reshard())]
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        while len(trouble.kills) < pace.least_kills and not any(task.done() for task in tasks):
            await asyncio.sleep(0.1)
        producer.stopping = trouble.stopping = True
        await asyncio.gather(*tasks)
        await team.all_committed(producer.user_records)
        await team.stop(team.processes)
        counts = await asyncio.to_thread(reconciled, team, producer)
        gaps = await asyncio.to_thread(_gaps, team, trouble.kills)
    put, broken = len(producer.sent), producer.broken
    return Outcome(counts, put, broken, trouble.kills, trouble.splits, trouble.merges, gaps)


class _Trouble:
    """Kills workers and splits and merges shards."""

    def __init__(self, team: Team, pace: Pace, chance: random.Random) -> None:
        self.kills: list[Kill] = []
        self.splits = self.merges = 0
        self.stopping = False
        self._team = team
        self._pace = pace
        self._chance = chance
        self._machines = WORKERS

    async def kill_some(self) -> None:
        """Kill a worker every few seconds; a machine starts another in its place, itself at once or another later."""
        starting: list[asyncio.Task[None]] = []
        while not self.stopping:
            await self._sleep(self._chance.uniform(*self._pace.kill_every_s))
            owners = await self._team.owners()
            alive = [process for process in self._team.processes if name_of(process) in owners]
            if self.stopping or not alive:
                continue
            victim = self._chance.choice(alive)
            same_machine = self._chance.random() < 0.5
            shards = owners[name_of(victim) or ""]
            self._team.kill(victim)
            self.kills.append(Kill(time.monotonic(), shards, same_machine))
            starting.append(asyncio.create_task(self._start_again(victim.machine, same_machine=same_machine)))
        await asyncio.gather(*starting)

    async def reshard(self) -> None:
        """Split and merge in turn, so that about as many shards stay open."""
        while not self.stopping:
            await self._sleep(self._pace.reshard_every_s)
            shards = sorted(
                (shard for shard in await self._team.stream.list_shards() if not shard.closed),
                key=lambda shard: shard.first_hash,
            )
            if len(shards) <= SHARDS:
                self._team.stream.split(self._chance.choice(shards).shard_id)
                self.splits += 1
            else:
                place = self._chance.randrange(len(shards) - 1)
                self._team.stream.merge(shards[place].shard_id, shards[place + 1].shard_id)
                self.merges += 1

    async def _start_again(self, machine: str, *, same_machine: bool) -> None:
        if not same_machine:
            await self._sleep(self._chance.uniform(*self._pace.away_s))
            machine, self._machines = f"m{self._machines}", self._machines + 1
        if not self.stopping or not self._team.processes:
            self._team.start(machine)

    async def _sleep(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while not self.stopping and time.monotonic() < until_s:
            await asyncio.sleep(0.1)


async def _until_all_owned(team: Team) -> None:
    async with asyncio.timeout(60):
        while sum(map(len, (owners := await team.owners()).values())) < SHARDS or len(owners) < WORKERS:
            await asyncio.sleep(0.5)


def _gaps(team: Team, kills: Sequence[Kill]) -> Gaps:
    """When the shards of each killed worker were read again, by the server's own log of reads."""
    gaps = Gaps()
    if team.server is None:
        return gaps
    rows = {row.shard_id: row for row in team.aftermath.rows()}
    for place, kill in enumerate(kills):
        for shard in kill.shards:
            read_s = _first_read(team, shard, kill.at_s + _IN_FLIGHT_S)
            if read_s is None:
                if not rows[shard].ended:  # else its end was committed just before
                    gaps.never.append(shard)
                continue
            how = "same machine" if kill.same_machine else "another machine"
            if any(shard in later.shards and later.at_s < read_s for later in kills[place + 1 :]):
                how = "next owner killed"
            elif not any(member.lived_through(kill.at_s, read_s) for member in team.ended):
                how = "nobody lived through"
            gaps.of(how).append(read_s - kill.at_s)
            print(f"kill {place + 1}: {shard} read again after {read_s - kill.at_s:.1f} s ({how})", file=sys.stderr)
    return gaps


def _first_read(team: Team, shard: str, after_s: float) -> float | None:
    return next((at_s for at_s, name in team.reads if name == shard and at_s > after_s), None)


def _rows(outcome: Outcome) -> list[Row]:
    gaps = outcome.gaps
    once_s = gaps.same_machine_s + gaps.another_s
    kinds = {"same machine": gaps.same_machine_s, "another machine": gaps.another_s, "all of these": once_s}
    kinds["heirs killed as well"] = gaps.compounded_s
    rows = [
        Row(what="user records put", value=outcome.put + outcome.broken, unit="records"),
        Row(what="landed exactly once", value=outcome.counts["landed"], unit="records"),
        Row(what="rejected with reason", value=outcome.counts["rejected"], unit="records"),
        Row(what="missing, doubled, broken chains", value=0, unit="records"),
        Row(what="kill -9", value=len(outcome.kills), unit="kills"),
        Row(what="splits and merges", value=outcome.splits + outcome.merges, unit="reshardings"),
    ]
    if once_s or gaps.compounded_s:
        rows += [
            Row(what="shards of killed workers read again", value=len(once_s), unit="shards"),
            Row(what="... and where the heirs were killed as well", value=len(gaps.compounded_s), unit="shards"),
        ]
    for how, some in kinds.items():
        for label, share in (("p50", 0.5), ("p90", 0.9), ("max", 1.0)):
            if some:
                rows.append(Row(what=f"read again, {how}, {label}", value=quantile(some, share), unit="s"))
    return rows
