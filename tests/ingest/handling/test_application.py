"""The library guide's handler as a service on the real stores: kills, an outage of its own database, poison."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import boto3
import psycopg
import pyarrow.parquet as pq
import pytest
from pyarrow import BufferReader

import stack as embedded
from contracts.ledger import LedgerEntry
from contracts.names import stream
from contracts.settings import RegionSettings
from ingest.handling import Application
from ingest.landing import Prefixed, S3Store
from ingest.leases.dynamodb import DynamoLeases
from tests.builders.consumer_process import ConsumerProcess, wait_until
from tests.builders.library import HANDLER, example

ROOT = Path(__file__).parents[3]
TABLE = "create table seen (device_id text, ts bigint, sequence text, sub int, primary key (sequence, sub))"


class Ground:
    """The example's application on a region of its own name, its table, and what it leaves."""

    def __init__(self, state: Path, folder: Path) -> None:
        self.name = f"seen{uuid4().hex[:6]}"
        environment = embedded.region_environment(state, "eu", {})
        self.settings = RegionSettings.load(environment)
        self.application = Application.of(self.settings, self.name)
        self._dsn = self.settings.postgres_dsn.get_secret_value()
        self._program = folder / "seen.py"
        self._program.write_text(example(HANDLER).replace('"seen")', f'"{self.name}")'), encoding="utf-8")
        began = datetime.now(UTC) - timedelta(seconds=1)
        self._environment = environment | {
            "SEEN_DSN": f"{self._dsn}?options=-csearch_path%3D{self.name}",
            "PYTHONPATH": str(ROOT),
            "FLEETLAKE_START": began.isoformat(),
            "FLEETLAKE_LEASE_TTL_S": "2",
            "FLEETLAKE_STATE": str(folder / "state"),
        }
        self.execute(f"create schema {self.name}")
        self.execute(f"set search_path to {self.name}; {TABLE}")

    def start(self) -> ConsumerProcess:
        """One process of the application."""
        return ConsumerProcess(self._environment, program=[sys.executable, str(self._program)])

    def put(self, *datas: bytes) -> None:
        """Put records on the region's stream."""
        client = boto3.client("kinesis", **self.settings.kinesis.client_kwargs(self.settings.row.aws_region))
        records = [{"Data": data, "PartitionKey": uuid4().hex} for data in datas]
        for start in range(0, len(records), 500):
            answer = client.put_records(StreamName=stream("eu"), Records=records[start : start + 500])
            assert answer["FailedRecordCount"] == 0

    def execute(self, statement: str) -> None:
        """Run a statement on the handler's database."""
        with psycopg.connect(self._dsn, autocommit=True) as database:
            database.execute(statement.encode())

    def seen(self, prefix: str) -> list[str]:
        """Devices with that prefix, one for each record that the handler wrote."""
        with psycopg.connect(self._dsn) as database:
            query = f"select device_id from {self.name}.seen where device_id like %s".encode()
            return [row[0] for row in database.execute(query, [f"{prefix}%"])]

    def entries(self) -> list[LedgerEntry]:
        """The application's ledger."""

        async def read() -> list[LedgerEntry]:
            application = self.application
            leases = DynamoLeases(application.table_scope, application.aws_region, application.dynamodb)
            try:
                return [entry for shard in await leases.shards() for entry in await leases.entries(shard)]
            finally:
                await leases.close()

        return asyncio.run(read())

    def rejected(self) -> list[bytes]:
        """What was set aside."""

        async def read() -> list[bytes]:
            store = Prefixed(S3Store.of(self.settings), self.application.prefix)
            try:
                keys = [key async for key in store.list("rejected/")]
                tables = [pq.read_table(BufferReader(await store.get(key))) for key in keys]
                return [data for table in tables for data in table["data"].to_pylist()]
            finally:
                await store.close()

        return asyncio.run(read())


@pytest.fixture
def ground(one_region: Path, tmp_path: Path) -> Iterator[Ground]:
    found = Ground(one_region, tmp_path)
    yield found
    found.execute(f"drop schema {found.name} cascade")


def records(prefix: str, count: int, first: int = 0) -> list[bytes]:
    now_ms = int(time.time() * 1000)
    return [json.dumps({"device_id": f"{prefix}{n}", "ts": now_ms}).encode() for n in range(first, first + count)]


def test_the_guides_handler_survives_its_database_a_kill_and_poison(ground: Ground) -> None:
    process = ground.start()
    try:
        process.wait_for("lease.taken", 4, within_s=180)
        ground.put(*records("a", 300), b"no json")
        wait_until(lambda: len(ground.seen("a")) == 300, 60, lambda: str(process.log[-5:]))
        wait_until(lambda: ground.rejected() == [b"no json"], 30)
        ground.execute(f"alter table {ground.name}.seen rename to away")
        ground.put(*records("b", 50))
        process.wait_for("sink.down")
        assert "UndefinedTable" in process.events("sink.down")[-1]["error"]
        assert process.get("/readyz")[0] == 503
        process.kill()
        ground.execute(f"alter table {ground.name}.away rename to seen")
        process = ground.start()
        wait_until(lambda: len(ground.seen("b")) == 50, 60, lambda: str(process.log[-5:]))
        assert len(set(ground.seen("a"))) == 300
        wait_until(lambda: sum(entry.handled for entry in ground.entries()) == 350, 30)
        assert [entry.rejected for entry in ground.entries() if entry.rejected] == [{"poison": 1}]
        process.send(signal.SIGTERM)
        assert process.end() == 0
    finally:
        process.kill()


@pytest.mark.long
def test_the_guides_handler_runs_for_minutes_through_kills_and_outages(ground: Ground) -> None:
    processes = [ground.start(), ground.start()]
    try:
        processes[0].wait_for("lease.taken", within_s=180)
        began, sent = time.monotonic(), 0
        for second in range(150):
            ground.put(*records("m", 200, first=sent))
            sent += 200
            if second % 30 == 20:
                processes[0].kill()
                processes = [processes[1], ground.start()]
            if second % 50 in (30, 38):
                names = ("seen", "away") if second % 50 == 30 else ("away", "seen")
                ground.execute(f"alter table {ground.name}.{names[0]} rename to {names[1]}")
            time.sleep(max(0.0, began + second + 1 - time.monotonic()))
        wait_until(lambda: sum(entry.handled for entry in ground.entries()) == sent, 90)
        assert sorted(ground.seen("m")) == sorted(f"m{number}" for number in range(sent))
        assert ground.rejected() == []
        for process in processes:
            assert process.get("/healthz")[0] == 200
            process.send(signal.SIGTERM)
        assert [process.end() for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
