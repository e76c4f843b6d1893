"""What the synthesised templates say of two regions, `world` and the names. Needs the venv with the CDK."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from contracts.policies.roles import role_policy
from contracts.regions import Region, load_regions
from deploy.assembly import Template
from deploy.deployment import Deployment, load_deployment
from deploy.expectations import unmet
from deploy.guards import check_guards
from deploy.proof import prove_apart
from deploy.scale.policy import consumer_scaling
from tests.builders.deploying import synthesised
from tests.builders.stack import TWO_REGIONS, state_parent

PARTS = {"network", "stores", "services", "scaling", "watch"}


@pytest.fixture(scope="module")
def made() -> Iterator[tuple[list[Template], dict[str, Region], Deployment]]:
    with state_parent() as folder:
        templates, _ = synthesised(folder, TWO_REGIONS, as_it_is=True)
        yield templates, load_regions(folder / "regions.toml"), load_deployment(folder / "deployment.toml")


def test_each_region_has_its_five_stacks_in_its_own_account_and_region_of_aws(made: Any) -> None:
    templates, regions, deployment = made
    for region in regions.values():
        own = [template for template in templates if template.place == region.name]
        assert {template.stack.split("-")[2] for template in own} == PARTS
        assert {(template.account, template.aws_region) for template in own} == {
            (deployment.account(region.name), region.aws_region)
        }


def test_guards_expectations_and_proof_hold(made: Any) -> None:
    templates, regions, deployment = made
    check_guards(*made)
    assert unmet(*made) == []
    assert prove_apart(templates, regions, deployment).exchange_grants == 4 * len(regions)


@pytest.mark.parametrize("name", ["gateway", "consumer", "serving"])
def test_a_role_has_the_policy_of_contracts_and_leave_to_connect_to_redis(made: Any, name: Any) -> None:
    templates, regions, deployment = made
    role = named(templates, f"fleetlake-eu-{name}")
    own = next(policy for policy in role["Policies"] if policy["PolicyName"] == "own")
    wanted = role_policy(
        regions["eu"], name, account=deployment.account("eu"), lake=deployment.lake_bucket("eu"),
        exchange=deployment.exchange_bucket, key="KEY",
    )  # fmt: skip
    found = [statement for statement in own["PolicyDocument"]["Statement"] if statement["Sid"] != "LiveState"]
    assert [(one["Sid"], one["Action"]) for one in found] == [
        (one["Sid"], one["Action"]) for one in wanted["Statement"]
    ]
    resources = [(one["Resource"], two["Resource"]) for one, two in zip(found, wanted["Statement"], strict=True)]
    assert [pair for pair in resources if pair[1] != "KEY" and pair[0] != pair[1]] == []


def named(templates: list[Template], role: str) -> dict[str, Any]:
    found = [one for template in templates for one in template.resources("AWS::IAM::Role")]
    return next(dict(one.properties) for one in found if one.properties["RoleName"] == role)


def test_dagster_s_web_server_and_daemon_hold_no_secret_of_the_region(made: Any) -> None:
    templates, _, _ = made
    tasks = [one for template in templates for one in template.resources("AWS::ECS::TaskDefinition")]
    for task in tasks:
        if task.properties["Family"].endswith(("-web", "-daemon")):
            (container,) = task.properties["ContainerDefinitions"]
            assert [one["Name"] for one in container["Secrets"]] == ["FLEETLAKE_DAGSTER_DSN"]
            assert not any(pair["Name"] == "FLEETLAKE_REGION" for pair in container["Environment"])


def test_no_name_moves_from_one_region_to_another(made: Any) -> None:
    templates, _, _ = made
    records = [one.properties for template in templates for one in template.resources("AWS::Route53::RecordSet")]
    assert records
    assert not any({"Failover", "Weight", "Region", "HealthCheckId"} & set(record) for record in records)
    nearest = {json.dumps(one["GeoLocation"]): one["ResourceRecords"] for one in records if "GeoLocation" in one}
    assert set(nearest) == {'{"ContinentCode": "EU"}', '{"ContinentCode": "NA"}'}


def test_the_policies_that_a_day_is_simulated_by_are_the_template_s(made: Any) -> None:
    templates, _, deployment = made
    scaling = consumer_scaling(templates, "eu")
    assert (scaling.fewest, scaling.most) == tuple(deployment.consumer.tasks)
    assert (scaling.target, scaling.shards) == (deployment.consumer.records_s, deployment.stream.day_shards)
    assert scaling.alarm_ms == deployment.consumer.lag_s * 1_000
