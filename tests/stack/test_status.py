"""What `status` says, to people and to programs."""

import json
import re
import subprocess
import sys
import time

import boto3
import pytest

import stack as embedded
from contracts import kpl
from contracts.ledger import LeaseRow, LedgerEntry, lease_item, ledger_item
from contracts.regions import load_regions
from stack.layout import Layout
from stack.report import masked
from tests.builders.stack import environment_of_a_user, kill, process_of


def fleetlake(*words, state, **environment):
    """The command as a user runs it."""
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *words],
        env=environment_of_a_user(FLEETLAKE_STATE=str(state), **environment),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_status_json_has_the_promised_shape_and_no_secret(stack):
    code, out, _ = fleetlake("status", "--json", state=stack.state)
    found = json.loads(out)
    assert code == 0
    assert found["services"] == dict.fromkeys(("s3", "kinesis", "redis", "postgres"), "up")
    assert list(found["regions"]) == list(load_regions())
    for name, row in found["regions"].items():
        assert row["kinesis"].keys() >= {"endpoint", "region", "stream", "access_key", "secret_key"}
        assert row["kinesis"]["stream"] == f"telemetry-{name}"
        assert row["s3"].keys() >= {"endpoint", "bucket", "access_key", "secret_key"}
        assert row.keys() >= {"dynamodb", "redis", "postgres", "lag_ms", "backlog_records", "watermark", "counts"}
        assert row["problems"] == []
    assert found["world"].keys() == {"s3", "postgres"}
    assert not [secret for secret in secrets_of(stack) if secret in out]


def test_the_secrets_that_status_shows_on_request_work(stack):
    code, out, _ = fleetlake("status", "--json", "--secrets", state=stack.state)
    row = json.loads(out)["regions"]["ap"]
    assert code == 0
    s3 = boto3.client(
        "s3",
        endpoint_url=row["s3"]["endpoint"],
        aws_access_key_id=row["s3"]["access_key"],
        aws_secret_access_key=row["s3"]["secret_key"],
        region_name="us-east-1",
    )
    assert s3.head_bucket(Bucket=row["s3"]["bucket"])
    assert row["redis"]["url"] == stack.settings("ap").redis_url.get_secret_value()
    assert row["postgres"]["dsn"] == stack.settings("ap").postgres_dsn.get_secret_value()


def test_status_for_people_has_a_line_a_region(stack):
    code, out, _ = fleetlake("status", state=stack.state, COLUMNS="120")
    assert code == 0
    for region in load_regions():
        assert re.search(rf"^{region}\s", out, re.MULTILINE)
    assert not [secret for secret in secrets_of(stack) if secret in out]


def test_status_of_a_stack_that_is_down_says_so_and_fails(tmp_path):
    code, out, error = fleetlake("status", "--json", state=tmp_path / "none")
    assert code == 1
    assert set(json.loads(out)["services"].values()) == {"down"}
    assert "run 'fleetlake up'" in error
    assert not (tmp_path / "none").exists(), "asking leaves nothing behind"


def test_status_while_one_service_is_down_still_tells_the_rest(own_stack):
    kill(process_of(own_stack.state, "redis"))
    found = embedded.status(own_stack.state)
    assert found["services"]["redis"] == "down"
    assert found["regions"]["us"]["problems"] == ["redis is down"]
    assert found["regions"]["us"]["lag_ms"] is not None


def test_backlog_counts_user_records_beyond_the_leases(own_stack):
    settings = own_stack.settings("eu")
    kinesis = boto3.client("kinesis", **settings.kinesis.client_kwargs(settings.row.aws_region))
    dynamodb = boto3.client("dynamodb", **settings.dynamodb.client_kwargs(settings.row.aws_region))
    before = embedded.status(own_stack.state)["regions"]["eu"]
    frame = kpl.aggregate([("a", b"1"), ("a", b"2"), ("b", b"3")])
    first = kinesis.put_record(StreamName="telemetry-eu", Data=frame, PartitionKey="a")
    kinesis.put_record(StreamName="telemetry-eu", Data=b"plain", PartitionKey="a")

    behind = embedded.status(own_stack.state)["regions"]["eu"]
    assert behind["backlog_records"] == before["backlog_records"] + 4
    assert behind["lag_ms"] > 0

    commit(dynamodb, first["ShardId"], first["SequenceNumber"], watermark_ms=1_800_000_000_000)
    committed = embedded.status(own_stack.state)["regions"]["eu"]
    assert committed["backlog_records"] == 1
    assert committed["watermark"] == "2027-01-15T08:00:00+00:00"
    assert committed["counts"]["user_records"] == 3
    assert committed["counts"]["landed"] == 2
    assert committed["counts"]["rejected"] == 1


def test_backlog_counts_from_where_a_shard_is_read(own_stack):
    """Reading starts with the second record's arrival."""
    settings = own_stack.settings("us")
    kinesis = boto3.client("kinesis", **settings.kinesis.client_kwargs(settings.row.aws_region))
    dynamodb = boto3.client("dynamodb", **settings.dynamodb.client_kwargs(settings.row.aws_region))
    shard = kinesis.put_record(StreamName="telemetry-us", Data=b"old", PartitionKey="a")["ShardId"]
    start_ms = int(time.time() * 1000) + 5
    while time.time() * 1000 < start_ms + 5:
        pass
    kinesis.put_record(StreamName="telemetry-us", Data=b"new", PartitionKey="a")
    lease = LeaseRow(shard_id=shard, start_ms=start_ms)
    dynamodb.put_item(TableName="leases-us", Item=lease_item(lease))
    assert embedded.status(own_stack.state)["regions"]["us"]["backlog_records"] == 1


def commit(dynamodb, shard_id, sequence_number, watermark_ms):
    """What a consumer writes once it has landed everything up to that record."""
    lease = LeaseRow(shard_id=shard_id, owner="w", fence=1, position=sequence_number, watermark_ms=watermark_ms)
    entry = LedgerEntry(
        shard_id=shard_id,
        after_seq="",
        last_seq=sequence_number,
        fence=1,
        worker="w",
        committed_ms=watermark_ms,
        kinesis_records=1,
        user_records=3,
        landed=2,
        rejected={"not_json": 1},
        suppressed=0,
        watermark_ms=watermark_ms,
        objects=[],
    )
    dynamodb.put_item(TableName="leases-eu", Item=lease_item(lease))
    dynamodb.put_item(TableName="ledger-eu", Item=ledger_item(entry))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("postgresql://eu:secret@127.0.0.1:5/fleet_eu", "postgresql://eu:***@127.0.0.1:5/fleet_eu"),
        ("redis://:secret@127.0.0.1:5/0", "redis://:***@127.0.0.1:5/0"),
        ({"secret_key": "secret", "access_key": "AK"}, {"secret_key": "***", "access_key": "AK"}),
        ("http://127.0.0.1:80", "http://127.0.0.1:80"),
    ],
)
def test_masking_hides_passwords_and_nothing_else(value, shown):
    assert masked(value) == shown


def secrets_of(stack):
    def walk(value):
        if isinstance(value, dict):
            return [found for key, item in value.items() if key != "access_key" for found in walk(item)]
        return [value] if isinstance(value, str) else []

    return walk(json.loads(Layout.of(stack.state).credentials.read_text()))
