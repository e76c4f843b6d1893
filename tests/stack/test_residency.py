"""Every store of every region refuses every other region's identity; a process does not start from another's keys."""

import io
import json
import os
import subprocess
import sys
import time
from itertools import product

import boto3
import psycopg
import pyarrow.parquet as pq

from contracts.regions import load_regions
from stack.residency import Attempt, attempts

STORES = ("kinesis", "dynamodb", "s3", "redis", "postgres")


def test_every_store_refuses_every_other_identity_and_accepts_its_own(stack):
    found = attempts(stack.state)
    assert [one for one in found if not one.as_it_should] == []
    regions = list(load_regions())
    tried = {(one.identity, one.store, one.of) for one in found}
    assert {(one, store, of) for one, of in product(regions, regions) for store in STORES} <= tried
    roles = [f"bi_reader_{name}" for name in (*regions, "world")]
    assert {(role, "postgres", of) for role in roles for of in (*regions, "world", "dagster")} <= tried
    assert {("world", "postgres", of) for of in regions} <= tried
    assert {("world", "s3", of) for of in regions} <= tried
    assert len([one for one in found if one.outcome == "refused"]) > 12 * len(regions)


def test_a_store_that_lets_another_in_or_does_not_answer_is_wrong():
    def attempt(of: str, outcome: str, identity: str = "eu") -> Attempt:
        return Attempt(identity=identity, store="s3", what="list", of=of, outcome=outcome, said="")

    assert attempt("us", "refused").as_it_should
    assert not attempt("us", "accepted").as_it_should
    assert not attempt("us", "unclear").as_it_should
    assert attempt("eu", "accepted").as_it_should
    assert not attempt("eu", "refused").as_it_should
    assert attempt("eu", "accepted", "bi_reader_eu").as_it_should
    assert not attempt("eu's own", "accepted", "bi_reader_eu").as_it_should


def run(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLEETLAKE_")}
    command = [sys.executable, "-m", "cli.main", *words]
    return subprocess.run(command, env=kept | environment, capture_output=True, text=True, timeout=120, check=False)


def test_a_consumer_ends_at_its_start_with_another_regions_keys(stack):
    own, other = stack.environment("af"), stack.environment("us")
    stolen = {name: value for name, value in other.items() if name.startswith("FLEETLAKE_KINESIS_")}
    ended = run(own | stolen, "consume", "--region", "af", "--until-idle")
    assert ended.returncode == 1
    assert "AccessDenied" in ended.stderr
    databases = {name: other[name] for name in ("FLEETLAKE_POSTGRES_DSN", "FLEETLAKE_PRIVACY_DSN")}
    ended = run(own | databases, "consume", "--region", "af", "--until-idle")
    assert ended.returncode == 2
    assert "its own secrets alone" in ended.stderr


def test_the_command_prints_the_matrix(stack):
    ended = run({"FLEETLAKE_STATE": str(stack.state)}, "residency", "--json")
    document = json.loads(ended.stdout)
    assert (ended.returncode, document["ok"], document["wrong"]) == (0, True, 0)
    assert document["attempts"] == len(document["tried"])


def test_a_record_of_another_regions_device_stays_where_it_arrived_and_is_told(stack):
    own, region = stack.settings("af"), stack.environment("af")
    name = "foreign-1"
    assert run(region, "device", "home", name, "--region", "af", "--home", "us", "--json").returncode == 0
    kinesis = boto3.client("kinesis", **own.kinesis.client_kwargs(own.row.aws_region))
    record = json.dumps({"device_id": name, "ts": int(time.time() * 1000)}).encode()
    kinesis.put_record(StreamName="telemetry-af", Data=record, PartitionKey=name)
    ended = run(region, "consume", "--region", "af", "--until-idle", "--json")
    assert json.loads(ended.stdout)["rejected"]["wrong_region"] == 1
    s3 = boto3.client("s3", **own.s3.client_kwargs(own.row.aws_region))
    prefix = "rejected/telemetry/reason=wrong_region/"
    (found,) = s3.list_objects_v2(Bucket=own.bucket, Prefix=prefix)["Contents"]
    rows = pq.read_table(io.BytesIO(s3.get_object(Bucket=own.bucket, Key=found["Key"])["Body"].read())).to_pylist()
    assert [(row["data"], row["partition_key"]) for row in rows] == [(record, name)]
    with psycopg.connect(own.postgres_dsn.get_secret_value()) as connection:
        tables = "registry.away_device", "registry.access_audit", "registry.device"
        kept = [str(connection.execute(f"select * from {table}").fetchall()) for table in tables]
        assert not any(name in text for text in kept)
        connection.execute("insert into registry.fleet (fleet_id, name) values ('residency', 'residency')")
        connection.execute(
            "insert into registry.device (device_id, fleet_id, type) values ('own-1', 'residency', 'car')"
        )
    refused = run(region, "device", "home", "own-1", "--region", "af", "--home", "us")
    assert (refused.returncode, "in the registry of af" in refused.stderr) == (2, True)
    assert run(region, "device", "home", name, "--region", "af", "--home", "af").returncode == 0
