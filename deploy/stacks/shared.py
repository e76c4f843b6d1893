"""What is no region's: the world, which reads the exchange, and the names by which devices find their region."""

from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns

from contracts.names import exchange_prefix
from contracts.policies.roles import world_policy
from contracts.regions import WORLD, Region
from deploy import environment as env
from deploy.alarms import RUNBOOK
from deploy.stacks.database import add_database
from deploy.stacks.kit import Place, make_key
from deploy.stacks.secrets import add_secrets
from deploy.stacks.services import add_dagster, cluster
from deploy.stacks.stores import bucket, tls_only
from deploy.stacks.watch import add_budget

TTL_S = 300


def add_world(place: Place, regions: Sequence[Region]) -> list[cdk.Stack]:
    """The stacks `stores` and `services` of `world`: the exchange, a small database, Dagster."""
    stores = place.stack("stores", "exchange, marts of the world, secrets")
    _exchange(stores, place, regions)
    add_secrets(stores, place, add_database(stores, place, small=True))
    services = place.stack("services", "Dagster of the world")
    cluster(services, place)
    given = env.world_environment(place.deployment)
    policy = world_policy(exchange=place.deployment.exchange_bucket)
    secrets = {"FLEETLAKE_POSTGRES_DSN": env.SECRETS["FLEETLAKE_POSTGRES_DSN"]}
    add_dagster(services, place, given, secrets, policy)
    return [stores, services]


def _exchange(stack: cdk.Stack, place: Place, regions: Sequence[Region]) -> None:
    """Aggregates cross here: each region writes and reads below its own prefix, the world reads all of it."""
    name = place.deployment.exchange_bucket
    made = bucket(stack, place, "Exchange", name, [], own_key=False)
    arn = f"arn:aws:s3:::{name}"
    statements: list[dict[str, Any]] = [tls_only(made)]
    for region in regions:
        own = f"{arn}/{exchange_prefix(region.name)}*"
        who = {"AWS": f"arn:aws:iam::{place.deployment.account(region.name)}:role/fleetlake-{region.name}-code"}
        prefix = {"StringLike": {"s3:prefix": [f"{exchange_prefix(region.name)}*"]}}
        statements += [
            {"Sid": f"Release{region.name.title()}", "Effect": "Allow", "Principal": who, "Resource": own,
             "Action": ["s3:GetObject", "s3:PutObject"]},
            {"Sid": f"List{region.name.title()}", "Effect": "Allow", "Principal": who, "Resource": arn,
             "Action": "s3:ListBucket", "Condition": prefix},
        ]  # fmt: skip
    s3.CfnBucketPolicy(
        stack, "ExchangePolicy", bucket=made.ref, policy_document={"Version": "2012-10-17", "Statement": statements}
    )


def add_names(place: Place, regions: Sequence[Region]) -> cdk.Stack:
    """The stack `names`: the domain, the nearest region by law and continent, and whether each region answers.

    No name moves from one region to another, whatever its health: a device of a region that is away keeps its records
    and sends them there again.
    """
    stack = place.stack("names", "the domain, the region of a continent, health")
    zone = route53.CfnHostedZone(stack, "Domain", name=place.deployment.domain)
    key = make_key(stack, place)
    topic = sns.CfnTopic(stack, "Pages", topic_name="fleetlake-network-page", kms_master_key_id=key.attr_arn)
    sns.CfnSubscription(stack, "PageMail", topic_arn=topic.ref, protocol="email", endpoint=place.deployment.alerts)
    add_budget(stack, place, WORLD, place.deployment.budget.world_usd)
    for region in regions:
        add_budget(stack, place, region.name, place.deployment.budget.region_usd)
        _health(stack, place, region, topic)
        for continent in place.deployment.continents.get(region.name, []):
            route53.CfnRecordSet(
                stack, f"Nearest{continent.title()}", hosted_zone_id=zone.ref, type="CNAME", ttl=str(TTL_S),
                name=f"nearest.{place.deployment.domain}", set_identifier=f"{region.name}-{continent}",
                geo_location={"continentCode": continent},
                resource_records=[f"devices.{region.name}.{place.deployment.domain}"],
            )  # fmt: skip
    return stack


def _health(stack: cdk.Stack, place: Place, region: Region, topic: sns.CfnTopic) -> None:
    """Tells that a region's entrance is away. Its result moves no name."""
    host = f"devices.{region.name}.{place.deployment.domain}"
    check = route53.CfnHealthCheck(
        stack, f"Health{region.name.title()}",
        health_check_config={
            "type": "TCP", "port": 443, "fullyQualifiedDomainName": host, "requestInterval": 30, "failureThreshold": 3,
            "measureLatency": True,
        },
    )  # fmt: skip
    cloudwatch.CfnAlarm(
        stack, f"Away{region.name.title()}", alarm_name=f"fleetlake-{region.name}-away", namespace="AWS/Route53",
        alarm_description=f"{host} does not answer. What to do: {RUNBOOK}#region-away", metric_name="HealthCheckStatus",
        dimensions=[{"name": "HealthCheckId", "value": check.attr_health_check_id}], statistic="Minimum", period=60,
        evaluation_periods=3, threshold=1, comparison_operator="LessThanThreshold", alarm_actions=[topic.ref],
        ok_actions=[topic.ref], treat_missing_data="breaching",
    )  # fmt: skip
