"""The policies of a region's roles on AWS: each is a part of the region's own policy, and what it needs of S3 and Glue.

What a role may do with the stream and its tables is cut out of `region.json`, so that no role may do what the embedded
stack would refuse the region.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from contracts import names
from contracts.policies import region_policy
from contracts.regions import Region

Statement = dict[str, Any]
Role = Literal["gateway", "consumer", "serving", "orchestration", "job"]
ROLES: tuple[Role, ...] = ("gateway", "consumer", "serving", "orchestration", "job")

_KNOW = ("kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:ListShards")
_READ = (*_KNOW, "kinesis:GetShardIterator", "kinesis:GetRecords")
_PUT = (*_KNOW, "kinesis:PutRecord", "kinesis:PutRecords")
_FAN_OUT = (
    "kinesis:RegisterStreamConsumer",
    "kinesis:DescribeStreamConsumer",
    "kinesis:DeregisterStreamConsumer",
    "kinesis:SubscribeToShard",
)
_LOOK = ("dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan")
_WRITE = (
    *_LOOK,
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "dynamodb:DeleteItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:ConditionCheckItem",
)
_ACTIONS: Mapping[Role, tuple[str, ...]] = {
    "gateway": _PUT,
    "consumer": (*_READ, *_FAN_OUT, *_WRITE),
    "serving": _LOOK,
    "orchestration": (*_READ, "kinesis:PutRecord", "kinesis:PutRecords", *_LOOK, "dynamodb:BatchWriteItem"),
    "job": (*_LOOK, "dynamodb:BatchWriteItem"),
}
"""Of the stream and the tables. Orchestration reconciles (reads the stream), replays rejected records (puts them), and
removes the ledger's beginning, as its jobs do."""
_OBJECTS: Mapping[Role, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "consumer": (("s3:GetObject", "s3:PutObject", "s3:DeleteObject"), ("landing/", "rejected/", "warehouse/")),
    "serving": (("s3:GetObject",), ("landing/", "warehouse/")),
    "orchestration": (
        ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
        ("landing/", "rejected/", "replayed/", "warehouse/", "exports/", "pipes/", "logs/", "code/"),
    ),
    "job": (
        ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
        ("landing/", "rejected/", "replayed/", "warehouse/", "pipes/", "logs/", "code/"),
    ),
}
"""What a role does with objects of the lake, and below which of its folders."""
_GLUE_READ = ("glue:GetDatabase", "glue:GetDatabases", "glue:GetTable", "glue:GetTables")
_GLUE_WRITE = (*_GLUE_READ, "glue:CreateDatabase", "glue:CreateTable", "glue:UpdateTable", "glue:DeleteTable")
GLUE_DATABASE = "history"


def role_policy(
    region: Region,
    role: Role,
    *,
    account: str,
    lake: str,
    exchange: str,
    key: str | None = None,
    partition: str = "aws",
) -> Mapping[str, Any]:
    """The policy of one role of a region.

    lake, exchange: names of the buckets. key: ARN of the region's key of KMS; any key of the account where unset, as
    its services use them.
    """
    whole = json.loads(region_policy(region, account=account, partition=partition))
    statements = [_with_key(one, key) for one in _cut(whole["Statement"], _ACTIONS[role], role in _OBJECTS)]
    if role in _OBJECTS:
        statements += _lake(role, lake, partition)
    if role in ("serving", "orchestration", "job", "consumer"):
        statements.append(_glue(role, region, account, partition))
    if role == "orchestration":
        statements += _exchange(region, exchange, partition)
    return {"Version": whole["Version"], "Statement": statements}


def world_policy(*, exchange: str, partition: str = "aws") -> Mapping[str, Any]:
    """The policy of the world's role: it lists and reads the exchange, and writes nothing."""
    arn = f"arn:{partition}:s3:::{exchange}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "ListExchange", "Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": arn},
            {"Sid": "ReadExchange", "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": f"{arn}/region=*"},
        ],
    }


def _with_key(statement: Statement, key: str | None) -> Statement:
    return {**statement, "Resource": key} if key and statement["Action"][0].startswith("kms:") else statement


def _cut(statements: Iterable[Statement], actions: tuple[str, ...], has_objects: bool) -> list[Statement]:
    """The region's statements with these actions alone, and the keys of the services that are left."""
    wanted, services = set(actions), {action.partition(":")[0] for action in actions}
    found = []
    for statement in statements:
        if statement["Sid"] == "TablesOfOwnApplications":
            continue
        if statement["Sid"] == "OwnStreamsKey" and "kinesis" not in services:
            continue
        if statement["Sid"] == "KeysOfOwnTablesAndBuckets" and not has_objects:
            continue
        kept = [action for action in statement["Action"] if action in wanted or action.startswith("kms:")]
        if kept:
            found.append({**statement, "Action": kept, "Resource": _resources(statement, kept)})
    return found


def _resources(statement: Statement, kept: list[str]) -> Any:
    """A statement's resources; registered consumers of the stream only for who registers them."""
    found = statement["Resource"]
    if statement["Sid"] == "OwnStream" and not set(kept) & set(_FAN_OUT):
        return [one for one in found if not one.endswith("/consumer/*")]
    return found


def _lake(role: Role, lake: str, partition: str) -> list[Statement]:
    actions, folders = _OBJECTS[role]
    arn = f"arn:{partition}:s3:::{lake}"
    listed = {"StringLike": {"s3:prefix": [f"{folder}*" for folder in folders]}}
    return [
        {
            "Sid": "OwnLake",
            "Effect": "Allow",
            "Action": list(actions),
            "Resource": [f"{arn}/{one}*" for one in folders],
        },
        {"Sid": "ListLake", "Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": arn, "Condition": listed},
    ]


def _exchange(region: Region, exchange: str, partition: str) -> list[Statement]:
    arn, prefix = f"arn:{partition}:s3:::{exchange}", names.exchange_prefix(region.name)
    listed = {"StringLike": {"s3:prefix": [f"{prefix}*"]}}
    own = [f"{arn}/{prefix}*"]
    return [
        {"Sid": "OwnExchange", "Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": own},
        {"Sid": "ListExchange", "Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": arn, "Condition": listed},
    ]


def _glue(role: Role, region: Region, account: str, partition: str) -> Statement:
    where = f"arn:{partition}:glue:{region.aws_region}:{account}"
    actions = _GLUE_WRITE if role in ("orchestration", "job") else _GLUE_READ
    own = [f"{where}:catalog", f"{where}:database/{GLUE_DATABASE}", f"{where}:table/{GLUE_DATABASE}/*"]
    return {"Sid": "OwnCatalog", "Effect": "Allow", "Action": list(actions), "Resource": own}
