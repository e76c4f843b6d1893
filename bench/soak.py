"""Two workers for half an hour with everything that comes to a service in a day: nothing lost or twice, memory flat.

FLEETLAKE_BENCH_SOAK_MIN (30) minutes at FLEETLAKE_BENCH_SOAK_RECORDS_S (2000) user records a second. Meanwhile shards
split and merge in turn, the AWS keys expire (bench.gates) and are revoked once before that, Redis dies at half time and
comes back empty, and S3's clock is 20 minutes ahead for a while. Fails where a record is missing or there twice, or
where live state is not each device's last record. The rows say how much memory each worker took in each part, and in
the last third beside the first.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from bench.faults import RedisLost
from bench.gates import EXPIRED, SKEWED, ContainerKeys, Gate
from bench.one_region import REGION, stack_of_one_region
from bench.resident import Memory, memory_rows
from bench.rows import Row
from bench.soaked import Counts, counted
from bench.team import Member, Producer, Team, team_on

SHARDS, WORKERS = 4, 2
SKEW = timedelta(minutes=20)
_WITHIN_S = 900.0
_USUAL = {"flush.committed", "progress"}
_LINES = 40


class Pace(NamedTuple):
    """The length, and when what happens, in seconds."""

    seconds: float
    records_s: int
    reshard_every_s: float
    key_life_s: float
    part_s: float
    """Memory is reported by parts of this length."""
    skew_s: float
    flush_age_s: float = 10.0
    revoke_at: float = 0.3
    """Shares of the whole."""
    redis_at: float = 0.5
    skew_at: float = 0.7

    @classmethod
    def of(cls, minutes: float, records_s: int) -> "Pace":
        """Half an hour's pace, closer together where the whole is shorter."""
        seconds = minutes * 60
        return cls(
            seconds=seconds,
            records_s=records_s,
            reshard_every_s=min(150.0, seconds / 12),
            key_life_s=min(300.0, seconds / 5),
            part_s=min(300.0, seconds / 6),
            skew_s=min(120.0, seconds / 10),
        )


@dataclass
class Outcome:
    """The result of a run."""

    pace: Pace
    put: int
    broken: int
    counts: Counts
    memory: Memory
    splits: int
    merges: int
    keys: ContainerKeys
    refused: Mapping[str, Counter[str]]
    live_again_s: float
    """From Redis' death until the workers said that live state lacks nothing; 0 where they never did."""
    committed_s: float
    """From the last put until all was in the ledger."""
    errors: list[str]
    """Lines of the workers' logs that are errors."""


def run() -> list[Row]:
    """Figures of a run; raises AssertionError where a promise was broken."""
    minutes = float(os.environ.get("FLEETLAKE_BENCH_SOAK_MIN", "30"))
    records_s = int(os.environ.get("FLEETLAKE_BENCH_SOAK_RECORDS_S", "2000"))
    with stack_of_one_region() as state:
        outcome = asyncio.run(soak(state, REGION, Pace.of(minutes, records_s)))
    for line in outcome.errors[:_LINES]:
        _say(f"in a worker's log: {line}")
    rows = rows_of(outcome)
    try:
        check(outcome)
    except AssertionError:
        for row in rows:
            _say(f"{row.what}: {row.value:,.1f} {row.unit}")
        raise
    return rows


def check(outcome: Outcome) -> None:
    """Raise AssertionError where a promise was broken."""
    counts = outcome.counts
    assert counts.landed_once == outcome.put, counts
    assert counts.rejected == outcome.broken, counts
    assert not (counts.missing or counts.twice or counts.foreign or counts.broken_chains or counts.lost), counts
    assert outcome.live_again_s, "live state was not complete again in time after Redis lost it"
    assert counts.live_last == counts.devices, counts


async def soak(state: Path, region: str, pace: Pace, *, seed: int = 1) -> Outcome:
    """Run it, wait until all is committed and live state lacks nothing, and look at what stands in the stores."""
    keys = ContainerKeys(pace.key_life_s)
    async with team_on(state, region, SHARDS, flush_age_s=pace.flush_age_s) as team, _gated(team, keys) as gates:
        producer = Producer(team.stream, pace.records_s, broken_every=997)
        memory = Memory([team.start(f"m{number}") for number in range(WORKERS)], pace.part_s)
        events = _Events(team, pace, keys, gates["s3"], random.Random(seed))
        try:
            committed_s = await _to_the_end(team, producer, memory, events)
        except BaseException:
            for member in memory.workers:
                _say(f"{member.machine}, unusual lines of its log:")
                for line in [line for line in member.log if line["event"] not in _USUAL][-_LINES:]:
                    _say(str(line))
            raise
        counts = await asyncio.to_thread(counted, team, producer)
        refused = {name: gate.refused for name, gate in gates.items()}
    return Outcome(
        pace, len(producer.sent), producer.broken, counts, memory, events.splits, events.merges, keys, refused,
        events.live_again_s, committed_s, [line for member in memory.workers for line in _errors(member)],
    )  # fmt: skip


async def _to_the_end(team: Team, producer: Producer, memory: Memory, events: "_Events") -> float:
    """Let it all happen; how long the last put took to be committed."""
    await _until(lambda: _all_owned(team), _WITHIN_S)
    tasks = [asyncio.create_task(work) for work in (producer.run(), memory.run(producer), *events.all())]
    done, _ = await asyncio.wait(tasks, timeout=events.pace.seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()
    producer.stopping = memory.stopping = events.stopping = True
    ended_s = time.monotonic()
    await team.all_committed(producer.user_records, within_s=_WITHIN_S)
    committed_s = time.monotonic() - ended_s
    await asyncio.gather(*tasks)
    if events.live_again_s:
        await _until(lambda: _live_stands(team), _WITHIN_S)
    await team.stop(team.processes)
    return committed_s


@asynccontextmanager
async def _gated(team: Team, keys: ContainerKeys) -> AsyncIterator[dict[str, Gate]]:
    """Gates before the team's AWS services, and workers that find their keys where a container's are."""
    aws_region = team.settings.row.aws_region
    gates = {name: Gate(name, aws_region, keys) for name in ("kinesis", "dynamodb", "s3")}
    assert team.server is not None, "the soak is on the project's own double; unset FLEETLAKE_BENCH_STREAM"
    team.server.spoil = gates["kinesis"].refusal
    config = team.state / "aws-config"
    config.write_text("[default]\n", encoding="utf-8")
    async with AsyncExitStack() as running:
        kept = {
            name: value for name, value in team.environment.items() if not name.endswith(("_ACCESS_KEY", "_SECRET_KEY"))
        }
        for name, access in (("dynamodb", team.settings.dynamodb), ("s3", team.settings.s3)):
            kept[f"FLEETLAKE_{name.upper()}_ENDPOINT"] = await running.enter_async_context(gates[name].before(access))
        kept |= {"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": str(config), "AWS_PROFILE": "default"}
        kept |= {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"}
        kept["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = await running.enter_async_context(keys.serving())
        team.environment = kept
        yield gates


@dataclass
class _Events:
    """What happens meanwhile."""

    team: Team
    pace: Pace
    keys: ContainerKeys
    s3: Gate
    chance: random.Random
    splits: int = 0
    merges: int = 0
    live_again_s: float = 0.0
    stopping: bool = False

    def all(self) -> list[Awaitable[None]]:
        """Each of them."""
        return [self._reshard(), self._keys_are_revoked(), self._redis_fails_over(), self._s3_is_skewed()]

    async def _reshard(self) -> None:
        """Split and merge in turn."""
        while await self._after(self.pace.reshard_every_s):
            stream = self.team.stream
            shards = sorted(
                (one for one in await stream.list_shards() if not one.closed), key=lambda one: one.first_hash
            )
            if len(shards) <= SHARDS:
                stream.split(self.chance.choice(shards).shard_id)
                self.splits += 1
            else:
                place = self.chance.randrange(len(shards) - 1)
                stream.merge(shards[place].shard_id, shards[place + 1].shard_id)
                self.merges += 1

    async def _keys_are_revoked(self) -> None:
        """Refuse the keys that are out, whatever end they came with."""
        if await self._after(self.pace.seconds * self.pace.revoke_at):
            self.keys.revoke()
            _say("every AWS key was revoked before its end")

    async def _redis_fails_over(self) -> None:
        """Kill it; an empty one takes its place."""
        if not await self._after(self.pace.seconds * self.pace.redis_at):
            return
        fault, died_s = RedisLost(self.team.state), time.monotonic()
        await fault.begin()
        await fault.end()
        with suppress(TimeoutError):
            await _until(lambda: _live_stands(self.team), max(_WITHIN_S, self.pace.seconds))
            self.live_again_s = time.monotonic() - died_s
        _say(f"an empty Redis; live state complete again after {self.live_again_s:.1f} s")

    async def _s3_is_skewed(self) -> None:
        """Let S3's clock be ahead for a while."""
        if await self._after(self.pace.seconds * self.pace.skew_at):
            self.s3.ahead = SKEW
            await self._after(self.pace.skew_s)
            self.s3.ahead = timedelta()
            _say(f"S3's clock was ahead for {self.pace.skew_s:.0f} s")

    async def _after(self, seconds: float) -> bool:
        """Wait; whether it is still going on then."""
        until_s = time.monotonic() + seconds
        while not self.stopping and time.monotonic() < until_s:
            await asyncio.sleep(0.1)
        return not self.stopping


async def _all_owned(team: Team) -> bool:
    owners = await team.owners()
    return len(owners) == WORKERS and sum(map(len, owners.values())) >= SHARDS


async def _live_stands(team: Team) -> bool:
    """Whether each worker is ready, and says that live state lacks nothing, and Redis says so too."""
    for member in team.processes:
        status, body = await asyncio.to_thread(member.get, "/readyz")
        if status != 200 or not json.loads(body)["live_complete"]:
            return False
    return await asyncio.to_thread(RedisLost(team.state).live_stands, team.region)


async def _until(condition: Callable[[], Awaitable[bool]], within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while not await condition():
            await asyncio.sleep(0.5)


def _errors(member: Member) -> list[str]:
    return [str(line) for line in member.log if line.get("level") in ("error", "critical") or line["event"] == "text"]


def _say(text: str) -> None:
    print(f"soak: {text}", file=sys.stderr, flush=True)


def rows_of(outcome: Outcome) -> list[Row]:
    """The figures."""
    counts, pace, refused = outcome.counts, outcome.pace, outcome.refused
    every = sum(refused.values(), Counter[str]())
    wrong = counts.missing + counts.twice + counts.foreign + counts.broken_chains + counts.lost
    figures: list[tuple[str, str, float, str]] = [
        ("put", f"records put in {pace.seconds / 60:.3g} min", outcome.put + outcome.broken, "records"),
        ("landed", "landed exactly once", counts.landed_once, "records"),
        ("rejected", "rejected with reason, broken on purpose", counts.rejected, "records"),
        ("wrong", "missing, twice, foreign, lost, broken chains", wrong, "records"),
        ("live", "devices whose last record is live state, all of them", counts.live_last, "devices"),
        ("reshardings", "splits and merges", outcome.splits + outcome.merges, "reshardings"),
        ("keys", f"AWS keys of {pace.key_life_s:.0f} s, all revoked once", outcome.keys.made, "keys"),
        ("keys_asked", "asked the credentials server", outcome.keys.asked, "requests"),
        ("expired", "refused for an expired or revoked key", every[EXPIRED], "requests"),
        ("redis", "live state complete after an empty Redis", outcome.live_again_s, "s"),
        ("skewed", f"S3's clock ahead for {pace.skew_s:.0f} s: refused for the time", every[SKEWED], "requests"),
        ("refused", "refused for anything else", every.total() - every[EXPIRED] - every[SKEWED], "requests"),
        ("errors", "errors in the workers' logs", len(outcome.errors), "lines"),
        ("committed", "all in the ledger after the last put", outcome.committed_s, "s"),
    ]
    rows = [Row(id=name, what=what, value=value, unit=unit) for name, what, value, unit in figures]
    for worker in range(len(outcome.memory.workers)):
        rows += memory_rows(outcome.memory, worker)
    return rows
