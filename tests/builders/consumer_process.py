"""Real consumer processes: started, paused, killed; and what they left in the real stores."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3

from contracts.kpl import aggregate
from contracts.ledger import LeaseRow, LedgerEntry
from contracts.names import stream
from contracts.settings import RegionSettings
from ingest.landing import S3Store
from ingest.leases.dynamodb import DynamoLeases

CHAOTIC = "us"
"""The region whose stream, leases and ledger one test has for itself."""
APART = "ap"
"""A region whose stream and tables hold what no worker has read or made."""
_AWS_REGIONS = {"eu": "eu-central-1", CHAOTIC: "us-east-2", APART: "ap-southeast-1", "af": "af-south-1"}
"""As in the project's own region table, which a test's process reads."""
_RUN = """
import sys
from contracts.settings import RegionSettings
from ingest.service.consume import consume
if __name__ == "__main__":
    consume(RegionSettings.load(), workers=int(sys.argv[1]))
"""


class ConsumerProcess:
    """A consumer in a process of its own, or in one for each of its workers; its log is a list of events that grows.

    program: another consumer's words, instead of Fleetlake's own.
    """

    def __init__(
        self, environment: Mapping[str, str], *, workers: int = 1, program: Sequence[str] = (), **tuning: object
    ) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FLEETLAKE_")}
        tuned = {f"FLEETLAKE_{name.upper()}": str(value) for name, value in tuning.items()}
        self.log: list[dict[str, Any]] = []
        self._process = subprocess.Popen(
            list(program) or [sys.executable, "-c", _RUN, str(workers)],
            env={**kept, **environment, **tuned},
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines of that event."""
        return [line for line in list(self.log) if line["event"] == name]

    def wait_for(self, event: str, count: int = 1, within_s: float = 60) -> dict[str, Any]:
        """Wait until the event was logged so often; its last line."""
        wait_until(lambda: len(self.events(event)) >= count, within_s, lambda: f"no {event} in {self.log[-5:]}")
        return self.events(event)[-1]

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def end(self, within_s: float = 60) -> int:
        """Wait for its end; the exit code."""
        code = self._process.wait(within_s)
        self._reader.join(10)
        return code

    def kill(self) -> None:
        """kill -9, also where it is paused or gone."""
        self._process.kill()
        self.end()

    def get(self, page: str) -> tuple[int, str]:
        """Status and body of one of its pages."""
        url = self.wait_for("worker.started")["metrics"].replace("/metrics", page)
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def _read(self) -> None:
        for line in self._process.stderr or ():
            try:
                self.log.append(json.loads(line))
            except json.JSONDecodeError:
                self.log.append({"event": "text", "text": line})


class Aftermath:
    """What stands in a region's ledger, leases and bucket."""

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def rows(self) -> list[LeaseRow]:
        """The lease rows."""
        return asyncio.run(self._ledger())[0]

    def ledger(self) -> tuple[list[LeaseRow], list[LedgerEntry]]:
        """Lease rows and all ledger entries."""
        return asyncio.run(self._ledger())

    def objects(self) -> dict[str, bytes]:
        """Everything below landing/ and rejected/."""
        return asyncio.run(self._objects())

    async def _ledger(self) -> tuple[list[LeaseRow], list[LedgerEntry]]:
        leases = DynamoLeases(self._settings.region, self._settings.row.aws_region, self._settings.dynamodb)
        try:
            rows = await leases.rows()
            return rows, [entry for row in rows for entry in await leases.entries(row.shard_id)]
        finally:
            await leases.close()

    async def _objects(self) -> dict[str, bytes]:
        store = S3Store.of(self._settings)
        try:
            keys = [key for prefix in ("landing/", "rejected/") async for key in store.list(prefix)]
            return {key: await store.get(key) for key in keys}
        finally:
            await store.close()


def put(settings: RegionSettings, count: int, *, first: int = 0, devices: int = 50, a_record: int = 20) -> set[str]:
    """Put aggregated records on the real stream; their event ids."""
    client = boto3.client("kinesis", **settings.kinesis.client_kwargs(settings.row.aws_region))
    now_ms = int(time.time() * 1000)
    packed, ids = [], []
    for start in range(first, first + count, a_record):
        numbers = range(start, min(start + a_record, first + count))
        users = [(f"d{number % devices}", _user_record(f"d{number % devices}", number, now_ms)) for number in numbers]
        ids += [str(number) for number in numbers]
        packed.append({"Data": aggregate(users), "PartitionKey": f"k{start}"})
    for start in range(0, len(packed), 100):
        answer = client.put_records(StreamName=stream(settings.region), Records=packed[start : start + 100])
        assert answer["FailedRecordCount"] == 0
    return set(ids)


def wait_until(condition: Callable[[], bool], within_s: float, failure: Callable[[], str] = lambda: "") -> None:
    """Wait until the condition holds; AssertionError where it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, failure()
        time.sleep(0.05)


def region_file(folder: Path, *, shards: int, regions: Sequence[str] = ("eu",), buckets: int = 2) -> Path:
    """A region table of regions that are alike, each with a stream of that many shards."""
    path = folder / "regions.toml"
    tables = [
        f'[{region}]\naws_region = "{_AWS_REGIONS[region]}"\ntime_zone = "Europe/Berlin"\nlegal_regime = "GDPR"\n'
        f"retention_days = 30\nstream_shards = {shards}\nhistory_buckets = {buckets}\n"
        for region in regions
    ]
    path.write_text("\n".join(tables), encoding="utf-8")
    return path


def _user_record(device: str, number: int, now_ms: int) -> bytes:
    body = {"device_id": device, "ts": now_ms + number % 1000, "event_id": str(number), "lat": 50.0, "lon": 8.0}
    return json.dumps(body).encode()
