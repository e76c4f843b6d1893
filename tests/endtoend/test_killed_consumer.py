"""A consumer killed with -9 at random moments of a replay leaves the history that an undisturbed one leaves."""

import hashlib
import os
import random
import signal
import subprocess
import time
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pytest

import stack as embedded
from contracts.names import ledger_table
from contracts.record import CONTRACT
from contracts.settings import RegionSettings
from lake.iceberg.catalog import catalog
from tests.builders.command import FLEETLAKE, environment, reported
from tests.builders.real_data import BUS

UNDISTURBED, DISTURBED = "us", "af"
KILLS = 3
SMALL_FLUSHES = {"FLEETLAKE_FLUSH_ROWS": "5000"}
"""With records that are read by the 10,000, so that a kill falls between, into and beside many flushes."""

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.long,
    pytest.mark.timeout(1800),
]
"""600,000 rows twice take minutes."""


def test_three_kills_leave_the_same_history_byte_for_byte(stack) -> None:
    replay(stack.state, UNDISTURBED)
    reported(stack.state, "consume", "--region", UNDISTURBED, "--until-idle")
    replay(stack.state, DISTURBED, "--plain")
    killed = consume_with_kills(stack.state, random.Random(7))
    for region in (UNDISTURBED, DISTURBED):
        reported(stack.state, "process", "--region", region)
        found = reported(stack.state, "reconcile", "--region", region)
        assert found["ok"], found["differences"]
    assert killed == KILLS
    assert exported(stack.settings(UNDISTURBED)) == exported(stack.settings(DISTURBED))


def replay(state: Path, region: str, *more: str) -> None:
    reported(state, "replay", str(BUS.path), "--region", region, "--mapping", BUS.name, "--rate", "max", *more)


def consume_with_kills(state: Path, rng: random.Random) -> int:
    """Start, kill while work is under way, start again; then run to the end. How many were killed in their work."""
    words = [str(FLEETLAKE), "consume", "--region", DISTURBED, "--until-idle", "--json"]
    killed = 0
    for _ in range(KILLS):
        before = committed(state)
        consumer = subprocess.Popen(
            words, env=environment(state, **SMALL_FLUSHES), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for_commits(state, consumer, before + rng.randrange(1, 9))
        time.sleep(rng.random() * 0.2)  # the moment itself is what is random, nothing is awaited
        consumer.send_signal(signal.SIGKILL)
        killed += consumer.wait() == -signal.SIGKILL
    reported(state, "consume", "--region", DISTURBED, "--until-idle", **SMALL_FLUSHES)
    return killed


def wait_for_commits(state: Path, consumer: subprocess.Popen, wanted: int) -> None:
    deadline = time.monotonic() + 120
    while committed(state) < wanted and consumer.poll() is None:
        assert time.monotonic() < deadline, f"no {wanted} commits within 120 s"
        time.sleep(0.02)


def committed(state: Path) -> int:
    """Ledger entries of the disturbed region."""
    return int(_ledger(state).scan(TableName=ledger_table(DISTURBED), Select="COUNT")["Count"])


@cache
def _ledger(state: Path) -> Any:
    settings = RegionSettings.load(embedded.region_environment(state, DISTURBED, os.environ))
    return boto3.client("dynamodb", **settings.dynamodb.client_kwargs(settings.row.aws_region))


def exported(settings: RegionSettings) -> tuple[int, str]:
    """Rows, and a digest of the bus records in history: what devices sent and the record's identity, sorted."""
    columns = [column.name for column in CONTRACT] + ["record_id"]
    scan = catalog(settings).load_table("history.telemetry").scan(selected_fields=tuple(columns))
    table = scan.to_arrow().select(columns)
    table = table.filter(pa.compute.starts_with(table["device_id"], BUS.prefix))
    table = table.sort_by([(name, "ascending") for name in ("device_id", "ts", "record_id")]).combine_chunks()
    digest = hashlib.sha256()
    for column in table.columns:
        digest.update(repr(column.to_pylist()).encode())
    return table.num_rows, digest.hexdigest()
