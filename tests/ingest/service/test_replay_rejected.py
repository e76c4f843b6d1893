"""Rejected by an old decoder, put back by the command, landed by the new one; on the real stores."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import boto3
import pyarrow.parquet as pq
from pyarrow import BufferReader

import stack as embedded
from contracts.identity import IDENTITY
from contracts.ledger import LANDED
from contracts.names import stream
from ingest.decode import JsonDecoder
from ingest.runtime.metrics import Metrics
from ingest.service.consume import consume
from ingest.service.one_worker import close, parts_of
from ingest.worker import Options, Report, Worker


class OldDecoder(JsonDecoder):
    """Breaks at records of devices that a newer decoder knows."""

    def decode(self, shard_id: str, records: Any) -> Any:
        if any(b'"newer-' in one.data for one in records):
            raise LookupError("a device of a kind that is not known")
        return super().decode(shard_id, records)


def _consumed_by_the_old(settings: Any) -> Report:
    async def work() -> Report:
        parts = replace(parts_of(settings, Metrics(settings.region, "old")), decoder=OldDecoder())
        try:
            return await Worker(parts, Options.of(settings, until_idle=True), "old").run()
        finally:
            await close(parts)

    return asyncio.run(work())


_DIES_BEFORE_MARKING = """
import os, signal
from contracts.settings import RegionSettings
from ingest.replay import replay_rejected
from ingest.replay.marks import Marks
Marks.add = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
replay_rejected(RegionSettings.load(), reason="poison")
"""


def _put(ground: Any, kind: str, count: int) -> None:
    client = boto3.client("kinesis", **ground.settings.kinesis.client_kwargs(ground.settings.row.aws_region))
    now_ms = int(time.time() * 1000)
    for number in range(count):
        name = f"newer-{kind}{number}"
        body = json.dumps({"device_id": name, "ts": now_ms, "event_id": name})
        client.put_record(StreamName=stream("eu"), Data=body.encode(), PartitionKey=name)


def _landed_identities(ground: Any, kind: str) -> list[tuple[Any, ...]]:
    _, entries = ground.aftermath.ledger()
    objects = ground.aftermath.objects()
    keys = [one.key for entry in entries for one in entry.objects if one.kind == LANDED]
    tables = [pq.read_table(BufferReader(objects[key]), columns=list(IDENTITY)) for key in keys]
    rows = [tuple(row.values()) for table in tables for row in table.to_pylist()]
    return [row for row in rows if row[0].startswith(f"newer-{kind}")]


def _fleetlake(ground: Any, *words: str) -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLEETLAKE_")}
    environment = {**kept, "FLEETLAKE_STATE": str(ground.state)}
    command = [sys.executable, "-m", "cli.main", *words, "--region", "eu", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_what_an_old_decoder_rejected_lands_after_a_replay_and_counts_agree(ground) -> None:  # type: ignore[no-untyped-def]
    consume(ground.settings, until_idle=True)
    _put(ground, "a", 25)

    old = _consumed_by_the_old(ground.settings)
    assert (old.landed, old.rejected) == (0, {"poison": 25})
    first = _fleetlake(ground, "replay-rejected", "--reason", "poison")
    again = _fleetlake(ground, "replay-rejected", "--reason", "poison")
    assert (first["put"], again["put"], again["replayed_before"]) == (25, 0, first["found"])
    report = consume(ground.settings, until_idle=True)
    assert (report.landed, report.rejected) == (25, {})
    assert _fleetlake(ground, "replay-rejected", "--reason", "poison")["put"] == 0
    counted = _fleetlake(ground, "reconcile")
    stages = counted["stages"]
    assert counted["differences"] == []
    assert stages["stream"] == stages["landed"] + stages["rejected"] + stages["suppressed"]
    assert stages["rejected"] >= 25


def test_killed_between_put_and_mark_the_next_run_puts_again_and_identities_stay_single(ground) -> None:  # type: ignore[no-untyped-def]
    consume(ground.settings, until_idle=True)
    _put(ground, "b", 20)
    assert _consumed_by_the_old(ground.settings).rejected == {"poison": 20}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLEETLAKE_")}
    environment = {**kept, **embedded.region_environment(ground.state, "eu", {})}
    died = subprocess.run([sys.executable, "-c", _DIES_BEFORE_MARKING], env=environment, check=False)
    assert died.returncode == -signal.SIGKILL

    assert _fleetlake(ground, "replay-rejected", "--reason", "poison")["put"] == 20
    report = consume(ground.settings, until_idle=True)
    assert _fleetlake(ground, "replay-rejected", "--reason", "poison")["put"] == 0
    found = _landed_identities(ground, "b")
    assert 20 < report.landed == len(found) <= 40
    assert len(set(found)) == 20
