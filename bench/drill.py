"""A disaster and a restore: Postgres is lost and comes back as it was at a backup, Redis is lost for good.

`fleetlake bench drill` puts records, takes a backup, puts more and suppresses a device, loses both stores, restores
Postgres from the backup, lets everything catch up, and reconciles: each record once, the device still suppressed.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

import stack
from bench.one_region import REGION, stack_of_one_region
from bench.rows import Row
from contracts.settings import RegionSettings
from deploy.suppression import restore, s3_of, save
from tests.builders.consumer_process import put

RECORDS = int(os.environ.get("FLEETLAKE_BENCH_DRILL_RECORDS", "20000"))
_ENTER = "insert into privacy.suppression (device_hmac) values ('\\x0badc0de'::bytea)"
_LISTED = "select count(*) from privacy.suppression where device_hmac = '\\x0badc0de'::bytea"


def run() -> list[Row]:
    """Raises AssertionError where a record is missing or there twice, or where a suppressed device comes back."""
    with stack_of_one_region(shards=2) as state:
        return drill(state)


def drill(state: Path) -> list[Row]:
    """The drill on a stack that is up and empty."""
    settings = RegionSettings.load(stack.region_environment(state, REGION, {}))
    environment = _environment(state)
    sent = len(put(settings, RECORDS))
    _caught_up(environment)
    _backup(state)
    sent += len(put(settings, RECORDS, first=RECORDS))
    _caught_up(environment)
    with psycopg.connect(settings.privacy_dsn.get_secret_value()) as connection:
        connection.execute(_ENTER.encode())
        save(connection, s3_of(settings), settings.bucket)
    began_s = time.monotonic()
    _lose(state)
    settings = RegionSettings.load(stack.region_environment(state, REGION, {}))
    with psycopg.connect(settings.privacy_dsn.get_secret_value()) as connection:
        assert _one(connection, _LISTED) == 0, "the backup has what came after it"
        entered = restore(connection, s3_of(settings), settings.bucket)
        assert _one(connection, _LISTED) == 1, "a suppressed device came back"
    live = _caught_up(environment)
    document = _json(["reconcile", "--whole"], environment)
    took_s = time.monotonic() - began_s
    stages = document["stages"]
    assert document["differences"] == [], document["differences"]
    assert stages["landed"] == stages["history"] + stages["duplicates"] == sent, stages
    return [
        Row(id="sent", what="records put, half of them after the backup", value=sent, unit="records"),
        Row(id="history", what="records in history after the restore", value=stages["history"], unit="records"),
        Row(id="missing", what="records missing", value=max(0, sent - stages["history"]), unit="records"),
        Row(id="doubled", what="records there twice", value=max(0, stages["history"] - sent), unit="records"),
        Row(id="entered", what="suppressed devices entered again", value=entered, unit="devices"),
        Row(id="live", what="devices in live state again", value=live, unit="devices"),
        Row(id="restore_s", what="from the loss to a reconciliation that agrees", value=took_s, unit="s"),
    ]


def _environment(state: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLEETLAKE_")}
    more = {"FLEETLAKE_MERGE_OPEN_HOURS": "true", "FLEETLAKE_FLUSH_AGE_S": "5", "FLEETLAKE_METRICS_PORT": "0"}
    return kept | more | {"FLEETLAKE_STATE": str(state)}


def _json(words: list[str], environment: Mapping[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "cli.main", *words, "--region", REGION, "--json"]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    assert done.stdout.strip(), f"{words}: {done.stderr[-2000:]}"
    document: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return document


def _caught_up(environment: Mapping[str, str]) -> int:
    """Consume and process all there is; how many devices live state has."""
    _json(["consume", "--until-idle"], environment)
    _json(["process"], environment)
    import redis

    state = Path(environment["FLEETLAKE_STATE"])
    client: Any = redis.Redis.from_url(stack.region_environment(state, REGION, {})["FLEETLAKE_REDIS_URL"])
    return int(client.zcard(f"{REGION}:seen"))


def _backup(state: Path) -> None:
    """Postgres' files while it is down: what a snapshot of RDS is."""
    stack.down(state)
    shutil.copytree(_data(state, "postgres"), state / "backup", symlinks=True)
    _keep_owner(_data(state, "postgres"), state / "backup")
    stack.up(state)


def _lose(state: Path) -> None:
    """Both stores are gone; Postgres comes back as it was at the backup, Redis empty."""
    stack.down(state)
    shutil.rmtree(_data(state, "postgres"))
    shutil.rmtree(_data(state, "redis"))
    shutil.copytree(state / "backup", _data(state, "postgres"), symlinks=True)
    _keep_owner(state / "backup", _data(state, "postgres"))
    stack.up(state)


def _data(state: Path, service: str) -> Path:
    from stack.layout import Layout

    return Layout.of(state).data(service)


def _keep_owner(of: Path, to: Path) -> None:
    """A copy by root belongs to root; Postgres' files belong to its own user."""
    for path in (of, *of.rglob("*")):
        found = path.lstat()
        os.chown(to / path.relative_to(of), found.st_uid, found.st_gid, follow_symlinks=False)


def _one(connection: "psycopg.Connection[Any]", query: str) -> Any:
    found = connection.execute(query.encode()).fetchone()
    return found and found[0]
