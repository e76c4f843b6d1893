"""Streams, tables and IAM users of the regions."""

import contextlib
import time
from pathlib import Path
from typing import Any

from contracts import names
from contracts.errors import ServiceFailed
from contracts.policies import region_policy
from contracts.regions import Region
from stack import credentials
from stack.clients import aws_client
from stack.credentials import Keys, RegionSecrets
from stack.site import Site

ACCOUNT = "000000000000"
_POLICY = "own-stream-and-tables"
_WRITTEN_WITHIN_S = 60.0
_POLL_S = 0.05


def provision_aws(site: Site) -> None:
    """Create each region's stream and tables in its AWS region, and its user with its policy, where missing."""
    iam = _root_client(site, "iam", "us-east-1")
    for region in site.regions.values():
        _make_stream(_root_client(site, "kinesis", region.aws_region), region)
        dynamodb = _root_client(site, "dynamodb", region.aws_region)
        _make_table(dynamodb, names.leases_table(region.name), "shard_id")
        _make_table(dynamodb, names.ledger_table(region.name), "shard_id", "last_seq")
        _make_user(iam, region, site.secrets.regions[region.name])
    _wait_until_written(site)
    credentials.save(site.layout.credentials, site.secrets)


def _wait_until_written(site: Site) -> None:
    """Wait until the emulator has every user's key on disk.

    An emulator killed before that would create other keys, and refuse every process that has these.
    Raises ServiceFailed where it takes too long.
    """
    kept = site.layout.data("kinesis") / "state" / "current" / "iam.json"
    known = [site.secrets.regions[name].aws for name in site.regions]
    keys = [keys_of_region.access_key for keys_of_region in known if keys_of_region is not None]
    deadline = time.monotonic() + _WRITTEN_WITHIN_S
    while not _holds(kept, keys):
        if time.monotonic() > deadline:
            raise ServiceFailed(f"kinesis did not write its users to {kept.parent} in time; is the disk full?")
        time.sleep(_POLL_S)


def _holds(file: Path, texts: list[str]) -> bool:
    try:
        whole = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return all(text in whole for text in texts)


def _root_client(site: Site, service: str, aws_region: str) -> Any:
    return aws_client(service, site.ports["kinesis"], site.secrets.aws_root, aws_region)


def _make_stream(kinesis: Any, region: Region) -> None:
    stream = names.stream(region.name)
    try:
        kinesis.create_stream(StreamName=stream, ShardCount=region.stream_shards)
    except kinesis.exceptions.ResourceInUseException:
        return
    kinesis.get_waiter("stream_exists").wait(StreamName=stream, WaiterConfig={"Delay": 1, "MaxAttempts": 30})


def _make_table(dynamodb: Any, table: str, *key: str) -> None:
    kinds = ("HASH", "RANGE")
    try:
        dynamodb.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in zip(key, kinds, strict=False)],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in key],
            BillingMode="PAY_PER_REQUEST",
        )
    except dynamodb.exceptions.ResourceInUseException:
        return
    dynamodb.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1, "MaxAttempts": 30})


def _make_user(iam: Any, region: Region, known: RegionSecrets) -> None:
    user = f"region-{region.name}"
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName=user)
    iam.put_user_policy(UserName=user, PolicyName=_POLICY, PolicyDocument=region_policy(region, account=ACCOUNT))
    present = [key["AccessKeyId"] for key in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]]
    if known.aws is not None and known.aws.access_key in present:
        return
    for stale in present:
        iam.delete_access_key(UserName=user, AccessKeyId=stale)
    made = iam.create_access_key(UserName=user)["AccessKey"]
    known.aws = Keys(made["AccessKeyId"], made["SecretAccessKey"])
