"""One worker: everything lands once, in order, through splits, merges, outages and lost answers."""

import asyncio
import weakref
from typing import Any

import pytest

from contracts.ledger import region_watermark_ms
from ingest.kinesis import Records
from ingest.kinesis.memory import MemoryStream
from ingest.live import MemoryLive
from ingest.runtime.metrics import LANDING
from tests.builders.consumer import Outage, World, broken_chains, fill, until
from tests.builders.virtual_time import run_virtually, true_ms


def test_every_record_lands_once_and_a_second_run_finds_nothing() -> None:
    async def story() -> None:
        world = World(shards=4)
        sent = fill(world.stream, 5_000)
        first = await world.read_all()
        again = await world.read_all("second")
        assert (first.read, first.landed, first.objects) == (5_000, 5_000, 4)
        assert (again.read, again.landed, again.objects) == (0, 0, 0)
        assert sorted(await world.landed_ids()) == sorted(sent)
        assert broken_chains(await world.leases.rows(), await world.entries()) == []

    run_virtually(story())


def test_children_are_read_after_their_parents_through_split_and_merge() -> None:
    async def story() -> None:
        world = World(shards=3, hollow_every=4)
        sent = fill(world.stream, 3_000)
        world.stream.split("shardId-000000000000")
        child = world.stream.merge("shardId-000000000001", "shardId-000000000002")
        sent |= fill(world.stream, 3_000, first=3_000)
        await world.read_all()
        rows = {row.shard_id: row for row in await world.leases.rows()}
        assert sorted(await world.landed_ids()) == sorted(sent)
        assert [rows[f"shardId-00000000000{number}"].ended for number in range(3)] == [True, True, True]
        assert sorted(rows[child].parents) == ["shardId-000000000001", "shardId-000000000002"]
        assert broken_chains(list(rows.values()), await world.entries()) == []

    run_virtually(story())


def test_the_watermark_follows_the_tip_and_closes_the_hour() -> None:
    async def story() -> None:
        world = World(shards=2)
        fill(world.stream, 100)
        await world.read_all()
        rows = await world.leases.rows()
        behind_ms = true_ms() - region_watermark_ms(rows)
        assert 0 <= behind_ms <= 62_000
        worker = world.worker("steady")
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(600)
        behind_ms = true_ms() - region_watermark_ms(await world.leases.rows())
        assert 60_000 <= behind_ms <= 80_000
        worker.stop()
        await running

    run_virtually(story())


def test_a_commit_whose_answer_is_lost_counts_once() -> None:
    async def story() -> None:
        world = World(shards=1)
        sent = fill(world.stream, 1_000)
        leases = Outage(world.leases, "commit")
        leases.answers_lost = True
        report = await world.read_all(parts=world.parts(leases=leases))
        assert leases.refused == 1
        assert report.landed == 1_000
        assert sorted(await world.landed_ids()) == sorted(sent)
        assert len(await world.entries()) == 1

    run_virtually(story())


def test_while_landing_is_down_memory_is_bounded_reading_pauses_and_health_says_so() -> None:
    async def story() -> None:
        world = World(shards=2)
        store = Outage(world.store, "put_new")
        store.down = True
        sent = fill(world.stream, 60_000)
        limit = 4 * 1024 * 1024
        parts = world.parts(store=store)
        worker = world.worker("bounded", parts, buffer_bytes=limit, flush_bytes=limit // 4)
        running = asyncio.create_task(worker.run())
        await until(lambda: worker.health().reading_paused_s > 30, within_s=600)
        health = worker.health()
        one_read = 10_000 * 400
        assert limit <= health.buffer_bytes <= limit + 2 * one_read
        assert health.alive
        assert not health.ready
        assert health.down_s[LANDING] > 30
        read = worker.totals.user_records_read
        assert read < 60_000
        await asyncio.sleep(120)
        assert worker.totals.user_records_read == read
        store.down = False
        await until(lambda: worker.totals.landed == 60_000, within_s=600)
        await until(lambda: worker.health().ready)
        worker.stop()
        await running
        assert sorted(await world.landed_ids()) == sorted(sent)

    run_virtually(story())


def test_while_live_state_is_down_landing_goes_on_and_live_state_catches_up() -> None:
    async def story() -> None:
        world = World(shards=2, live=MemoryLive())
        live = Outage(world.live, "write", "epoch", "begin_rebuild", "end_rebuild")
        live.down = True
        fill(world.stream, 200, devices=10)
        worker = world.worker("w", world.parts(live=live), flush_age_s=5)
        running = asyncio.create_task(worker.run())
        await until(lambda: worker.totals.landed == 200)
        assert await live.latest("d3") is None
        assert not worker.health().ready
        live.down = False
        await until(lambda: worker.health().ready)
        await until(lambda: worker.health().live_complete, within_s=180)
        for device in range(10):
            latest = await live.latest(f"d{device}")
            assert latest is not None
            assert f'"{190 + device}"'.encode() in latest
        worker.stop()
        assert not (await running).live_missing

    run_virtually(story())


def test_what_landed_but_had_not_reached_live_state_is_offered_by_the_next_owner() -> None:
    async def story() -> None:
        live = MemoryLive()
        world = World(shards=2, live=live)
        await live.begin_rebuild("whole")
        assert await live.end_rebuild("whole")
        fill(world.stream, 100, devices=10)
        away = Outage(live, "write")
        away.down = True
        first = await world.read_all(parts=world.parts(live=away))
        assert first.landed == 100
        assert first.live_missing
        assert await live.latest("d3") is None
        second = await world.read_all("second")
        assert (second.read, second.live_missing) == (0, False)
        assert b'"93"' in (await live.latest("d3") or b"")
        reads = away.refused
        await world.read_all("third", world.parts(live=away))
        assert away.refused == reads

    run_virtually(story())


def test_live_state_that_was_lost_is_rebuilt_from_landing() -> None:
    async def story() -> None:
        world = World(shards=2)
        fill(world.stream, 500, devices=10)
        await world.read_all()
        live = world.live = MemoryLive()
        worker = world.worker("w", flush_age_s=5)
        running = asyncio.create_task(worker.run())

        async def complete() -> bool:
            return await live.epoch() is not None

        await until(complete, within_s=120)
        assert b'"493"' in (await live.latest("d3") or b"")
        worker.stop()
        await running

    run_virtually(story())


def test_records_trimmed_before_they_were_read_leave_a_lost_entry() -> None:
    async def story() -> None:
        world = World(shards=1, retention_ms=3_600_000)
        fill(world.stream, 10)
        await world.read_all()
        await asyncio.sleep(60)
        fill(world.stream, 10, first=10)
        await asyncio.sleep(4_000)
        fill(world.stream, 10, first=20)
        report = await world.read_all("late")
        entries = await world.entries()
        assert report.trimmed == 1
        assert [entry.lost for entry in entries] == [False, True]
        assert sum(entry.user_records for entry in entries) == 20

    run_virtually(story())


def test_a_quiet_shard_that_was_watched_has_lost_nothing() -> None:
    async def story() -> None:
        world = World(shards=1, retention_ms=600_000)
        fill(world.stream, 10)
        worker = world.worker("steady")
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(1_500)
        fill(world.stream, 10, first=10)
        await until(lambda: worker.totals.landed == 20, within_s=120)
        worker.stop()
        assert (await running).trimmed == 0

    run_virtually(story())


def test_a_record_that_breaks_the_decoder_is_rejected_alone() -> None:
    class Brittle:
        """Breaks on one record."""

        def __init__(self) -> None:
            from ingest.decode import JsonDecoder

            self._inner = JsonDecoder()
            self.version, self.suppression_version = self._inner.version, self._inner.suppression_version

        def decode(self, shard_id, records):  # type: ignore[no-untyped-def]
            if any(b'"777"' in record.data for record in records):
                raise ZeroDivisionError("a bug")
            return self._inner.decode(shard_id, records)

    async def story() -> None:
        world = World(shards=1)
        fill(world.stream, 1_000)
        report = await world.read_all(parts=world.parts(decoder=Brittle()))
        assert (report.landed, report.rejected) == (999, {"poison": 1})
        assert "777" not in await world.landed_ids()

    run_virtually(story())


def test_objects_of_a_flush_that_was_never_committed_are_removed() -> None:
    async def story() -> None:
        world = World(shards=1)
        fill(world.stream, 100)
        await world.read_all()
        (kept,) = world.store.objects
        left = kept.replace("-1.parquet", "-0.parquet")
        await world.store.put_new(left, b"left behind by a worker that died before its commit")
        fill(world.stream, 1, first=100)
        await world.read_all("second")
        assert left not in world.store.objects
        assert kept in world.store.objects

    run_virtually(story())


@pytest.mark.parametrize("rows", [1, 7, 10_000])
def test_flushes_by_rows_keep_the_chain(rows: int) -> None:
    async def story() -> None:
        world = World(shards=2, hollow_every=3)
        sent = fill(world.stream, 200)
        await world.read_all(flush_rows=rows)
        assert sorted(await world.landed_ids()) == sorted(sent)
        assert broken_chains(await world.leases.rows(), await world.entries()) == []

    run_virtually(story())


def test_an_answer_is_not_held_while_the_next_is_waited_for() -> None:
    answers: list[weakref.ref[Records]] = []

    class Watched(Records):
        """An answer that tells when it is gone."""

        __slots__ = ("__weakref__",)

    class Watching(MemoryStream):
        async def get_records(self, iterator: str, limit: int = 10_000, **more: Any) -> Records:
            answer = await super().get_records(iterator, limit, **more)
            if not answer.records:
                await asyncio.sleep(3_600)
            watched = Watched(answer.records, answer.next_iterator, answer.millis_behind_latest)
            answers.append(weakref.ref(watched))
            return watched

    async def story() -> None:
        world = World(shards=4)
        world.stream = Watching(4, now_ms=true_ms)
        fill(world.stream, 4_000)
        worker = world.worker("holder")
        running = asyncio.create_task(worker.run())
        await until(lambda: worker.totals.user_records_read == 4_000)
        await asyncio.sleep(10)
        assert len(answers) == 4
        assert [answer for answer in answers if answer() is not None] == []
        worker.stop()
        await running

    run_virtually(story())
