"""Rejected by an old decoder, put back by the command, landed by the new one; on the real stores."""

import asyncio
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import boto3

from contracts.names import stream
from ingest.decode import JsonDecoder
from ingest.metrics import Metrics
from ingest.service import close, consume, parts_of
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


def _fleetlake(ground: Any, *words: str) -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLEETLAKE_")}
    environment = {**kept, "FLEETLAKE_STATE": str(ground.state)}
    command = [sys.executable, "-m", "cli.main", *words, "--region", "eu", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_an_old_decoder_rejected_lands_after_a_replay_and_counts_agree(ground) -> None:  # type: ignore[no-untyped-def]
    consume(ground.settings, until_idle=True)
    client = boto3.client("kinesis", **ground.settings.kinesis.client_kwargs(ground.settings.row.aws_region))
    now_ms = int(time.time() * 1000)
    for number in range(25):
        body = json.dumps({"device_id": f"newer-{number}", "ts": now_ms, "event_id": f"newer-{number}"})
        client.put_record(StreamName=stream("eu"), Data=body.encode(), PartitionKey=f"newer-{number}")

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
