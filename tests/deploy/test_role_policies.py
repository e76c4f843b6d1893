"""The policies of a region's roles are parts of the policy that the embedded stack enforces for the region."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from contracts.policies import region_policy
from contracts.policies.roles import ROLES, Role, role_policy, world_policy
from contracts.regions import load_regions

ACCOUNT = "123456789012"
EU = load_regions()["eu"]


def policy(role: Role) -> dict[str, Any]:
    return dict(role_policy(EU, role, account=ACCOUNT, lake="the-lake", exchange="the-exchange"))


def pairs(document: dict[str, Any], *services: str) -> Iterator[tuple[str, str]]:
    """Every action on every resource that it allows, of these services."""
    for statement in document["Statement"]:
        resources = statement["Resource"]
        for action in statement["Action"]:
            if action.partition(":")[0] in services:
                yield from ((action, one) for one in (resources if isinstance(resources, list) else [resources]))


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_no_more_with_stream_and_tables_than_its_region(role: Role) -> None:
    whole = set(pairs(json.loads(region_policy(EU, account=ACCOUNT)), "kinesis", "dynamodb", "kms"))
    own = set(pairs(policy(role), "kinesis", "dynamodb", "kms"))
    assert own < whole
    assert own


@pytest.mark.parametrize(
    ("role", "never"),
    [
        ("gateway", ("kinesis:GetRecords", "dynamodb:", "s3:", "glue:")),
        ("consumer", ("kinesis:PutRecord", "kinesis:PutRecords", "glue:CreateTable", "glue:UpdateTable")),
        ("serving", ("kinesis:", "dynamodb:PutItem", "dynamodb:UpdateItem", "s3:PutObject", "s3:DeleteObject")),
        ("job", ("kinesis:", "dynamodb:PutItem")),
        ("orchestration", ("dynamodb:PutItem", "dynamodb:UpdateItem", "kinesis:RegisterStreamConsumer")),
    ],
)
def test_a_role_may_not_do_what_is_not_its_work(role: Role, never: tuple[str, ...]) -> None:
    allowed = {action for statement in policy(role)["Statement"] for action in statement["Action"]}
    whole_services = tuple(word for word in never if word.endswith(":"))
    assert allowed
    assert not allowed & set(never)
    assert not [action for action in allowed if whole_services and action.startswith(whole_services)]


@pytest.mark.parametrize("role", ROLES)
def test_only_orchestration_reaches_the_exchange_and_there_its_own_prefix(role: Role) -> None:
    reached = {one for _, one in pairs(policy(role), "s3") if "the-exchange" in one}
    own = {"arn:aws:s3:::the-exchange", "arn:aws:s3:::the-exchange/region=eu/*"}
    assert reached == (own if role == "orchestration" else set())


@pytest.mark.parametrize("role", ROLES)
def test_listing_is_bound_to_the_folders_of_the_role(role: Role) -> None:
    listing = [one for one in policy(role)["Statement"] if "s3:ListBucket" in one["Action"]]
    assert all(one["Condition"]["StringLike"]["s3:prefix"] for one in listing)


def test_the_world_reads_the_exchange_and_writes_nothing() -> None:
    allowed = {action for one in world_policy(exchange="the-exchange")["Statement"] for action in one["Action"]}
    assert allowed == {"s3:ListBucket", "s3:GetObject"}
