"""What breaks a step is set aside alone; what cannot be set aside stops its shard before anything is lost."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from structlog.testing import capture_logs

from contracts.errors import QuarantineFailed, ShardFailed, SinkUnavailable
from contracts.kpl import aggregate
from contracts.record import LANDING_SCHEMA, REJECTED_SCHEMA
from ingest.decode import JsonDecoder
from ingest.live import MemoryLive
from ingest.runtime.metrics import LANDING
from ingest.worker.live.isolate import write_around
from tests.builders.consumer import Outage, World, broken_chains, fill, record, until
from tests.builders.ingest import ARRIVAL_MS, landing_rows
from tests.builders.virtual_time import run_virtually


class Careless(JsonDecoder):
    """Leaves out what Parquet demands (the record id) in rows of devices called broken."""

    def decode(self, shard_id: str, records: Any) -> Any:
        batch = super().decode(shard_id, records)
        names = batch.rows.schema.names
        broken = [str(device).startswith("broken") for device in batch.rows["device_id"].to_pylist()]
        ids = [None if bad else one for bad, one in zip(broken, batch.rows["record_id"].to_pylist(), strict=True)]
        columns = [pa.array(ids, pa.string()) if name == "record_id" else batch.rows[name] for name in names]
        return replace(batch, rows=pa.RecordBatch.from_arrays(columns, schema=LANDING_SCHEMA))


class Forgetful(JsonDecoder):
    """Loses rows of devices called lost without accounting for them."""

    def decode(self, shard_id: str, records: Any) -> Any:
        batch = super().decode(shard_id, records)
        kept = pa.array([not device.startswith("lost") for device in batch.rows["device_id"].to_pylist()], pa.bool_())
        return replace(batch, rows=batch.rows.filter(kept))


async def _rejected(world: World) -> list[dict[str, Any]]:
    keys = [key for key in world.store.objects if key.startswith("rejected/")]
    return [row for key in keys for row in pq.read_table(pa.BufferReader(world.store.objects[key])).to_pylist()]


def test_a_row_that_cannot_be_encoded_is_rejected_with_its_bytes_and_place_and_the_shard_goes_on() -> None:
    async def story() -> None:
        world = World(shards=1)
        sent = fill(world.stream, 300)
        poison = [record("broken-1", 9_001), record("broken-2", 9_002)]
        _, alone = world.stream.put("k", poison[0])
        _, packed = world.stream.put("k", aggregate([("a", record("d1", 301)), ("b", poison[1])]))
        fill(world.stream, 100, first=400)
        parts = world.parts(decoder=Careless())
        report = await world.read_all(parts=parts)
        assert (report.read, report.landed, report.rejected) == (403, 401, {"poison": 2})
        rejected = await _rejected(world)
        assert {(row["data"], row["sequence_number"], row["sub_sequence"]) for row in rejected} == {
            (poison[0], alone, 0),
            (poison[1], packed, 1),
        }
        assert {(row["reason"], row["error"]) for row in rejected} == {("poison", "ArrowInvalid")}
        assert sent <= set(await world.landed_ids())
        assert 'fleetlake_ingest_rejected_total{reason="poison"} 2.0' in parts.metrics.page().decode()
        assert broken_chains(await world.leases.rows(), await world.entries()) == []

    run_virtually(story())


def test_poison_that_the_stream_no_longer_has_stops_the_shard_and_commits_nothing() -> None:
    async def story() -> None:
        world = World(shards=1)
        world.stream.put("k", record("broken-1", 1))
        parts = world.parts(decoder=Careless())
        parts.stream = _Trimmed(world.stream)
        with pytest.raises(QuarantineFailed, match="trimmed"):
            await world.read_all(parts=parts)
        assert await world.entries() == []
        assert [row.position for row in await world.leases.rows()] == [""]
        assert 'lease_events_total{event="failed"} 1.0' in parts.metrics.page().decode()

    run_virtually(story())


class _Trimmed:
    """A stream that has trimmed everything by the time that someone asks for one record."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def get_shard_iterator(self, shard_id: str, start: Any) -> str:
        if start.kind == "AT_SEQUENCE_NUMBER":
            start = type(start).after(start.sequence_number)
        return await self._inner.get_shard_iterator(shard_id, start)


def test_a_decoder_that_loses_count_has_its_record_rejected() -> None:
    async def story() -> None:
        world = World(shards=1)
        fill(world.stream, 50)
        lost = record("lost-1", 77)
        world.stream.put("k", lost)
        report = await world.read_all(parts=world.parts(decoder=Forgetful()))
        assert (report.landed, report.rejected) == (50, {"poison": 1})
        assert [(row["error"], row["data"]) for row in await _rejected(world)] == [("CountsDiffer", lost)]

    run_virtually(story())


class Picky(MemoryLive):
    """Live state that cannot hold some devices."""

    def __init__(self, *bad: str) -> None:
        super().__init__()
        self._bad = set(bad)
        self.writes = 0

    async def write(self, rows: pa.RecordBatch) -> Any:
        self.writes += 1
        if self._bad & set(rows["device_id"].to_pylist()):
            raise ValueError("a device that this store cannot hold")
        return await super().write(rows)


def test_a_row_that_live_state_refuses_is_left_out_there_only() -> None:
    async def story() -> None:
        live = Picky("d7")
        world = World(shards=2, live=live)
        sent = fill(world.stream, 200)
        parts = world.parts()
        report = await world.read_all(parts=parts)
        assert (report.landed, report.live_missing) == (200, False)
        assert sorted(await world.landed_ids()) == sorted(sent)
        assert await live.latest("d6") is not None
        assert await live.latest("d7") is None
        assert 'live_refused_total{error="ValueError"} 10.0' in parts.metrics.page().decode()

    run_virtually(story())


def test_a_store_that_takes_nothing_counts_as_away_not_as_thousands_of_refusals() -> None:
    async def story() -> None:
        live = Picky(*(f"d{number}" for number in range(1_000)))
        rows = landing_rows(
            [{"device_id": f"d{number}", "ts_ms": ARRIVAL_MS, "arrival_ms": ARRIVAL_MS} for number in range(1_000)]
        )
        metrics = World().parts().metrics
        with pytest.raises(SinkUnavailable, match="takes nothing"):
            await write_around(live.write, rows, metrics)
        assert live.writes < 100
        assert "live_refused_total{" not in metrics.page().decode()

    run_virtually(story())


def test_while_rejected_objects_cannot_be_written_the_shard_waits_says_so_and_loses_nothing() -> None:
    async def story() -> None:
        world = World(shards=1)
        fill(world.stream, 20)
        world.stream.put("k", json.dumps({"no": "device"}).encode())
        store = Outage(world.store, "put_new")
        store.down = True
        parts = world.parts(store=store)
        worker = world.worker("w", parts, until_idle=True)
        running = asyncio.create_task(worker.run())
        await until(lambda: store.refused > 3)
        health = worker.health()
        assert (health.ready, LANDING in health.down_s) == (False, True)
        assert await world.entries() == []
        store.down = False
        report = await running
        assert (report.landed, report.rejected) == (20, {"bad_device_id": 1})
        assert pq.read_schema(pa.BufferReader(next(iter(world.store.objects.values())))) is not None

    run_virtually(story())


def test_rejected_rows_that_cannot_be_encoded_stop_the_shard() -> None:
    class Nameless(JsonDecoder):
        """Rejects without saying why, which the schema forbids."""

        def decode(self, shard_id: str, records: Any) -> Any:
            batch = super().decode(shard_id, records)
            count = batch.rejected.num_rows
            columns = [pa.nulls(count, pa.string()) if name == "error" else batch.rejected[name]
                       for name in REJECTED_SCHEMA.names]  # fmt: skip
            return replace(batch, rejected=pa.RecordBatch.from_arrays(columns, schema=REJECTED_SCHEMA))

    async def story() -> None:
        world = World(shards=1)
        world.stream.put("k", b"{no json")
        with pytest.raises(QuarantineFailed, match="rejected records"):
            await world.read_all(parts=world.parts(decoder=Nameless()))
        assert await world.entries() == []

    run_virtually(story())


def test_what_is_logged_of_poison_and_of_a_failed_shard_quotes_no_record() -> None:
    secret = "driver-0815"

    class Quoting(Careless):
        """Raises with the record in its words, as Arrow does."""

        def decode(self, shard_id: str, records: Any) -> Any:
            if any(b"unreadable" in one.data for one in records):
                raise MemoryError(f"cannot convert {secret}")
            return super().decode(shard_id, records)

    async def story() -> tuple[Any, BaseException]:
        world = World(shards=1)
        world.stream.put("k", record("broken-1", 1, event_id=secret))
        with capture_logs() as logs:
            await world.read_all(parts=world.parts(decoder=Quoting()))
            world.stream.put("k", record("d1", 2, event_id=secret, attributes={"x": "unreadable"}))
            with pytest.raises(
                ShardFailed, match=r"MemoryError at test_quarantine.py:\d+ decode < decoding.py"
            ) as failed:
                await world.read_all("next", world.parts(decoder=Quoting()))
        return logs, failed.value

    logs, failure = run_virtually(story())
    assert {"flush.broke", "record.poison", "shard.failed"} <= {line["event"] for line in logs}
    assert secret not in str(logs)
    assert secret not in str(failure)
    assert failure.__cause__ is None
