"""CloudFormation makes a region from its templates; gateway, consumer and reconciliation run on what it made.

Each process has the settings of its own task definition and the policies of its own role, which the emulator enforces.
Redis and Postgres, for which the emulator needs a container engine, are the embedded stack's.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

import stack
from tests.builders.deploying import ORDER, EmulatedAws, emulated_aws, stores_of, synthesised
from tests.builders.gateway import GatewayProcess
from tests.builders.stack import TWO_REGIONS, state_parent

pytestmark = pytest.mark.long
REGION, AWS_REGION = "eu", "eu-central-1"
LOCAL = ("FLEETLAKE_REDIS_URL", "FLEETLAKE_REDIS_IAM_CACHE", "FLEETLAKE_STATE", "FLEETLAKE_CATALOG", "FLEETLAKE_EMR_",
         "FLEETLAKE_SPARK", "FLEETLAKE_METRICS_PORT", "FLEETLAKE_GATEWAY_MQTT_PORT",
         "FLEETLAKE_GATEWAY_HTTP_PORT")  # fmt: skip
"""Settings of the task definitions that another address takes the place of here."""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with state_parent() as made:
        yield made


@pytest.fixture(scope="module")
def aws(folder: Path) -> Iterator[EmulatedAws]:
    templates, _ = synthesised(folder, TWO_REGIONS)
    own = {template.stack.split("-")[2]: template for template in templates if template.place == REGION}
    with emulated_aws(folder / "aws") as found:
        for part in ORDER:
            found.make(own[part])
        yield found


@pytest.fixture(scope="module")
def state(folder: Path) -> Iterator[Path]:
    (folder / "regions.toml").write_text(TWO_REGIONS, encoding="utf-8")
    try:
        stack.up(folder / "state", folder / "regions.toml")
        yield folder / "state"
    finally:
        stack.down(folder / "state")


def environment(aws: EmulatedAws, state: Path, service: str) -> dict[str, str]:
    given = aws.environment_of(REGION, service, AWS_REGION)
    kept = {name: value for name, value in given.items() if not name.startswith(LOCAL)}
    secrets = stack.region_environment(state, REGION, {})
    return {**secrets, **kept, **stores_of(aws, aws.keys_of(REGION, service))}


def run(words: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    base = {"PATH": "/usr/bin:/bin", "HOME": str(Path.home())}
    command = [sys.executable, "-m", "cli.main", *words, "--region", REGION]
    return subprocess.run(command, env=base | environment, capture_output=True, text=True, timeout=300, check=False)


def test_what_devices_send_lands_and_reconciles_on_what_cloudformation_made(aws: EmulatedAws, state: Path) -> None:
    access, work, proof = (environment(aws, state, name) for name in ("gateway", "consumer", "code"))
    gateway = GatewayProcess(access).ready()
    try:
        ports = {"FLEETLAKE_GATEWAY_HTTP_PORT": str(gateway.port("http")), "FLEETLAKE_GATEWAY_HOST": "127.0.0.1"}
        noon = (datetime.now(UTC) - timedelta(days=1)).replace(hour=11)  # at night the fleet sleeps
        fleet = ["--devices", "8", "--hours", "0.25", "--seed", "3", "--start", noon.isoformat(timespec="seconds")]
        sent = run(["simulate", *fleet, "--via", "http", "--json"], access | ports)
        assert sent.returncode == 0, sent.stderr
        acknowledged = json.loads(sent.stdout)["gateway"]["acknowledged"]
    finally:
        gateway.end()
    consumed = run(["consume", "--until-idle", "--json"], work | {"FLEETLAKE_METRICS_PORT": "0"})
    assert consumed.returncode == 0, consumed.stderr[-2000:]
    landed = json.loads(consumed.stdout)["landed"]
    assert landed == acknowledged > 0
    proven = run(["reconcile", "--json"], proof)
    found = json.loads(proven.stdout)
    assert (found["differences"], found["stages"]["stream"], found["stages"]["landed"]) == ([], landed, landed)


@pytest.mark.parametrize(
    ("role", "service", "call", "arguments"),
    [
        ("gateway", "kinesis", "get_records", {"ShardIterator": "AAA"}),
        ("gateway", "dynamodb", "scan", {"TableName": "leases-eu"}),
        ("consumer", "kinesis", "put_record", {"StreamName": "telemetry-eu", "Data": b"x", "PartitionKey": "x"}),
        ("consumer", "s3", "put_object", {"Bucket": "BUCKET", "Key": "exports/x", "Body": b"x"}),
        ("serving", "s3", "put_object", {"Bucket": "BUCKET", "Key": "landing/x", "Body": b"x"}),
        ("serving", "dynamodb", "put_item", {"TableName": "ledger-eu", "Item": {"shard_id": {"S": "x"}}}),
        ("web", "dynamodb", "scan", {"TableName": "leases-eu"}),
    ],
)
def test_a_role_is_refused_what_is_not_its_work(
    aws: EmulatedAws, role: str, service: str, call: str, arguments: dict[str, object]
) -> None:
    named = {key: f"fleetlake-lake-eu-{'0' * 12}" if value == "BUCKET" else value for key, value in arguments.items()}
    client = aws.client(service, AWS_REGION, aws.keys_of(REGION, role))
    with pytest.raises(ClientError) as caught:
        getattr(client, call)(**named)
    assert "AccessDenied" in caught.value.response["Error"]["Code"]


def test_almost_everything_of_the_region_was_made(aws: EmulatedAws) -> None:
    made, left = (sum(map(len, one.values())) for one in (aws.made, aws.left_out))
    print(f"CloudFormation made {made} of {made + left} resources in {len(aws.made)} stacks")
    assert set(aws.made) == {f"fleetlake-{REGION}-{part}" for part in ORDER}
    assert made > 3 * left
