"""A real run of 2, 8 and 2 workers by the policy's decisions, and what the simulation says of the same run.

After a round to warm up, of which nothing is kept, two rounds measure what a hand-over and a start take on this
machine, and two more are predicted. A minute of the policies lasts a second here.
A round's lag is the longest that a shard stood unread, as the mean of its shards: the longest of all of them is one
event, which no prediction from as few can meet.
"""

import asyncio
import sys
import time
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import msgspec

from bench.one_region import REGION, stack_of_one_region
from bench.team import Member, Producer, Team, name_of, reconciled, team_on
from deploy.scale.autoscaler import Autoscaler
from deploy.scale.policy import Scaling
from deploy.scale.simulate import Pace, Worker, run_day

FEW, MANY, SHARDS = 2, 8, 8
LOW_S, HIGH_S, TARGET = 400, 2_000, 250.0
MINUTE_S = 1.0
ROUNDS = 2
_QUIET_S, _STEADY_S = 8.0, 8.0
"""Before the demand rises, and after each balance."""
_WITHIN_S = 400.0


class RealRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a run showed, and what was simulated of it."""

    lag_s: float
    simulated_lag_s: float
    most: int
    records: int


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One way up and down: the longest that a shard stood unread (mean of shards), a worker's start, the most workers.

    busy_s: for how long there was much to read, until all workers were there. calm_s: until few were left.
    """

    unread_s: float
    start_s: float
    most: int
    busy_s: float
    calm_s: float


def real_run(of: Scaling) -> RealRun:
    """Run it. of: the scaling of the template; limits and target are smaller here, cooldowns in minutes of MINUTE_S.

    Raises AssertionError where a record is missing or there twice.
    """
    scaling = msgspec.structs.replace(
        of, fewest=FEW, most=MANY, target=TARGET, shards=SHARDS, out_cooldown_s=of.out_cooldown_s / 60 * MINUTE_S,
        in_cooldown_s=of.in_cooldown_s / 60 * MINUTE_S, step_cooldown_s=of.step_cooldown_s / 60 * MINUTE_S,
    )  # fmt: skip
    with stack_of_one_region() as state:
        return asyncio.run(_both(state, scaling))


async def _both(state: Path, scaling: Scaling) -> RealRun:
    async with team_on(state, REGION, SHARDS, flush_age_s=5) as team:
        producer = Producer(team.stream, LOW_S)
        first = [team.start(f"m{number}") for number in range(FEW)]
        await _started(first)
        await _owned(team, FEW)
        producing = asyncio.create_task(producer.run())
        await _round(team, producer, scaling)
        known = [await _round(team, producer, scaling) for _ in range(ROUNDS)]
        seen = [await _round(team, producer, scaling) for _ in range(ROUNDS)]
        producer.stopping = True
        await producing
        await team.all_committed(producer.user_records)
        await team.stop(list(team.processes))
        counts = await asyncio.to_thread(reconciled, team, producer)
    assert counts.pop("landed") == producer.user_records, counts
    assert not any(counts.values()), counts
    hand_over_s, start_s = (fmean(getattr(one, name) for one in known) for name in ("unread_s", "start_s"))
    simulated = fmean(_simulated(scaling, hand_over_s, start_s, one) for one in seen)
    print(f"scaling run: measured {known}, then {seen}; simulated {simulated:.2f} s", file=sys.stderr)
    return RealRun(
        lag_s=fmean(one.unread_s for one in seen),
        simulated_lag_s=simulated,
        most=max(one.most for one in seen),
        records=producer.user_records,
    )


def _simulated(scaling: Scaling, unread_s: float, start_s: float, seen: Round) -> float:
    """The longest lag of a round's demand, with the time unread and the start that earlier ones measured."""
    # What was measured is the time between two reads, a poll among it.
    hand_over_s = max(0.1, unread_s - 0.2)
    worker = Worker(records_s=20_000, start_s=min(start_s, seen.start_s), hand_over_s=hand_over_s)

    def demand(at_s: float) -> float:
        return HIGH_S if _QUIET_S <= at_s < _QUIET_S + seen.busy_s else LOW_S

    seconds = _QUIET_S + seen.busy_s + seen.calm_s
    course = run_day(scaling, worker, demand, seconds=seconds, pace=Pace(tick_s=0.1, minute_s=MINUTE_S))
    assert max(course.workers) == MANY, course.workers
    return max(course.lag_s)


class _Phases:
    """What there is to read: little, much until every worker is there, little until few are left."""

    def __init__(self) -> None:
        self.began_s = time.monotonic()
        self._full_s = self._few_s = 0.0

    @property
    def now_s(self) -> float:
        """Seconds since the round began."""
        return time.monotonic() - self.began_s

    def demand(self) -> int:
        """Records a second now."""
        busy = self.now_s >= _QUIET_S and (not self._full_s or self.now_s < self._full_s + _STEADY_S)
        return HIGH_S if busy else LOW_S

    def look(self, owning: int) -> bool:
        """So many workers own shards; whether the round is over."""
        assert self.now_s < _WITHIN_S, f"{owning} workers after {self.now_s:.0f} s"
        if owning == MANY and not self._full_s:
            self._full_s = self.now_s
        calm = self._full_s and self.now_s > self._full_s + _STEADY_S
        if calm and owning == FEW and not self._few_s:
            self._few_s = self.now_s
        return bool(self._few_s) and self.now_s > self._few_s + _STEADY_S

    @property
    def lengths(self) -> tuple[float, float]:
        """For how long there was much, and then little."""
        busy_s = self._full_s + _STEADY_S - _QUIET_S
        return busy_s, self.now_s - _QUIET_S - busy_s


async def _round(team: Team, producer: Producer, scaling: Scaling) -> Round:
    """Let the policy decide for one way up and down."""
    autoscaler, phases, most, put = Autoscaler(scaling, FEW), _Phases(), FEW, producer.user_records
    starting, leaving = dict[str, float](), list[Member]()
    starts, stopping = list[float](), list[asyncio.Task[None]]()
    while True:
        now_s, producer.records_per_s = phases.now_s, phases.demand()
        await asyncio.sleep(MINUTE_S)
        rate, put = (producer.user_records - put) / (phases.now_s - now_s), producer.user_records
        owners = await team.owners()
        most = max(most, len(owners))
        if phases.look(len(owners)):
            break
        staying = [one for one in team.processes if one not in leaving]
        for member in [one for one in staying if one.machine in starting and name_of(one) in owners]:
            starts.append(time.monotonic() - starting.pop(member.machine))
        wanted = autoscaler.minute(now_s, rate, max(1, len(owners)), 0.0)
        for number in range(len(staying), wanted):
            machine = f"m{number}-{now_s:.0f}"
            starting[machine] = time.monotonic()
            team.start(machine)
        if wanted < len(staying) and not starting:
            leaving += (going := staying[wanted:])
            stopping.append(asyncio.create_task(team.stop(going)))
    await asyncio.gather(*stopping)
    await _owned(team, FEW)
    unread_s = _unread_s(team, phases.began_s, time.monotonic())
    busy_s, calm_s = phases.lengths
    start_s = sum(starts) / max(1, len(starts))
    return Round(unread_s=unread_s, start_s=start_s, most=most, busy_s=busy_s, calm_s=calm_s)


async def _started(members: list[Member]) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while not all(name_of(member) for member in members):
        assert time.monotonic() < deadline, "a worker did not start"
        await asyncio.sleep(0.1)


async def _owned(team: Team, by: int) -> None:
    """Wait until so many workers own all shards, none two more than another."""
    deadline = time.monotonic() + _WITHIN_S
    while True:
        counts = [len(shards) for shards in (await team.owners()).values()]
        if len(counts) == by and sum(counts) == SHARDS and max(counts) - min(counts) <= 1:
            return
        assert time.monotonic() < deadline, f"not balanced: {counts}"
        await asyncio.sleep(0.25)


def _unread_s(team: Team, from_s: float, to_s: float) -> float:
    reads: dict[str, list[float]] = {}
    for at_s, shard in team.reads:
        if from_s <= at_s <= to_s:
            reads.setdefault(shard, [from_s]).append(at_s)
    return fmean(max(later - earlier for earlier, later in pairwise([*times, to_s])) for times in reads.values())
