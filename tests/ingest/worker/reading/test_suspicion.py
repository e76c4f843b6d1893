"""A record that no worker survives is found and set aside, and the shard goes on."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.slow_records import KINDS
from ingest.batch import Batch, KinesisRecord
from ingest.decode import JsonDecoder
from ingest.worker.reading import trial
from ingest.worker.reading.trial import ProcessTrial
from tests.builders.consumer import World, broken_chains, fill, record
from tests.builders.ingest import aggregated, kinesis, payload
from tests.builders.virtual_time import run_virtually

_HOSTILE = b'"777"'


class Killed(BaseException):
    """The worker's process ends."""


class Fatal(JsonDecoder):
    """Ends the process at one record."""

    def decode(self, shard_id: str, records: Sequence[KinesisRecord]) -> Batch:
        if any(_HOSTILE in one.data for one in records):
            raise Killed
        return super().decode(shard_id, records)


class Judge:
    """A Trial that knows."""

    def __init__(self) -> None:
        self.asked = 0

    async def failing(self, records: Sequence[KinesisRecord], within_s: float) -> frozenset[int]:
        self.asked += 1
        return frozenset(place for place, one in enumerate(records) if _HOSTILE in one.data)


@pytest.mark.parametrize("committed_before", [False, True])
def test_a_record_that_no_worker_survives_is_set_aside_after_three_takes(committed_before: bool) -> None:
    async def story() -> None:
        world, judge = World(shards=1), Judge()
        sent = fill(world.stream, 10)
        if committed_before:
            await world.read_all("before")
        sent |= fill(world.stream, 10, first=10)
        world.stream.put("k", record("d", 777))
        sent |= fill(world.stream, 10, first=20)
        before = max((row.fence for row in await world.leases.rows()), default=0)
        # The task dies as the process would; nobody releases the lease.
        await world.read_all("w", world.parts(decoder=Fatal(), trial=judge), lease_ttl_s=1)
        assert [row.fence for row in await world.leases.rows()] == [before + 4]
        assert sorted(await world.landed_ids()) == sorted(sent)
        entries = await world.entries()
        assert sum(entry.rejected.get("poison", 0) for entry in entries) == 1
        assert broken_chains(await world.leases.rows(), entries) == []

    run_virtually(story())


def test_a_shard_that_commits_is_never_suspected() -> None:
    async def story() -> None:
        world, judge = World(shards=1), Judge()
        for life in range(6):
            fill(world.stream, 5, first=5 * life)
            await world.read_all(f"w{life}", world.parts(trial=judge))
        assert judge.asked == 0

    run_virtually(story())


def test_suspicion_ends_with_the_first_commit() -> None:
    async def story() -> None:
        world, judge = World(shards=1), Judge()
        for life in range(4):
            await world.read_all(f"idle {life}")
        fill(world.stream, 5)
        worker = world.worker("w", world.parts(trial=judge), flush_age_s=1)
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(30)
        asked = judge.asked
        fill(world.stream, 5, first=5)
        await asyncio.sleep(30)
        worker.stop()
        assert (await running).landed == 10
        assert (asked, judge.asked) == (1, 1)

    run_virtually(story())


_SLOW = """
import os, time
from ingest.decode import JsonDecoder
from ingest.worker.reading import trial

decode = JsonDecoder.decode

def slowly(self, shard_id, records):
    if b"sleeps" in records[0].data:
        time.sleep(60)
    if b"dies" in records[0].data:
        os._exit(9)
    return decode(self, shard_id, records)

JsonDecoder.decode = slowly
trial.serve()
"""


def test_a_process_finds_the_records_that_are_slow_or_end_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "slow_trial.py").write_text(_SLOW)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(trial, "_MODULE", "slow_trial")
    datas = [
        payload(),
        payload(x=["sleeps"]),
        payload(x=["fine"]),
        payload(x=["dies"]),
        b"\xff",
        *aggregated([payload()], 1),
    ]
    found = asyncio.run(ProcessTrial().failing(kinesis(datas), 8.0))
    assert found == {1, 3}


def test_the_records_made_to_be_slow_pass_the_trial() -> None:
    datas = [make(64_500) for make in KINDS.values()]
    assert asyncio.run(ProcessTrial().failing(kinesis(datas), 30.0)) == frozenset()


def test_plain_records_need_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_MODULE", "there.is.none")
    datas = [payload(speed_kmh=number) for number in range(9)]
    assert asyncio.run(ProcessTrial().failing(kinesis(datas), 1.0)) == frozenset()
