"""A region's policy, the same here and on AWS, allows every call of its consumer and nothing of others."""

import json
from typing import Any

import pytest

from contracts.policies import region_policy
from contracts.regions import find_region, load_regions
from ingest.runtime.aws_errors import CALLS, DYNAMODB, KINESIS

ACCOUNT = "123456789012"


def _statements(partition: str = "aws") -> dict[str, Any]:
    policy = json.loads(region_policy(find_region("eu", load_regions()), account=ACCOUNT, partition=partition))
    return {statement["Sid"]: statement for statement in policy["Statement"]}


@pytest.mark.parametrize(("service", "sid"), [(KINESIS, "OwnStream"), (DYNAMODB, "OwnTables")])
def test_every_call_of_the_consumer_is_allowed(service: str, sid: str) -> None:
    calls = set(CALLS[service]) - {"TransactWriteItems"}  # its parts are what IAM asks for
    assert {f"{service}:{call}" for call in calls} <= set(_statements()[sid]["Action"])


def test_registered_consumers_of_the_own_stream_are_its_resources() -> None:
    stream = "arn:aws:kinesis:eu-central-1:123456789012:stream/telemetry-eu"
    assert _statements()["OwnStream"]["Resource"] == [stream, f"{stream}/consumer/*"]


@pytest.mark.parametrize(("partition", "domain"), [("aws", "amazonaws.com"), ("aws-cn", "amazonaws.com.cn")])
def test_keys_serve_only_the_stores_that_hold_what_they_encrypt(partition: str, domain: str) -> None:
    statements = _statements(partition)
    of_stream = statements["OwnStreamsKey"]["Condition"]["StringEquals"]
    assert of_stream["kms:ViaService"] == f"kinesis.eu-central-1.{domain}"
    assert of_stream["kms:EncryptionContext:aws:kinesis:arn"].endswith(":stream/telemetry-eu")
    others = statements["KeysOfOwnTablesAndBuckets"]
    assert others["Condition"]["StringEquals"]["kms:ViaService"] == [
        f"dynamodb.eu-central-1.{domain}",
        f"s3.eu-central-1.{domain}",
    ]
    for sid in ("OwnStreamsKey", "KeysOfOwnTablesAndBuckets"):
        assert statements[sid]["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
