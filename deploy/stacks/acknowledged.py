"""Findings of cdk-nag and of CloudFormation's own rules that are as they should be, each with the reason.

What is not here fails the synthesis. Wildcards in policies are named one by one, so that another one is a finding.
"""

from collections.abc import Iterable

import aws_cdk as cdk

from contracts.regions import WORLD
from deploy.stacks.kit import Place

_ADDRESSES = (
    "would keep addresses and keys of data subjects where no erasure reaches; gateway and API log what they refuse"
)
RULES: dict[str, str] = {
    "AwsSolutions-EC23": "the entrances of devices and of front ends: TLS, certificates and limits are behind them",
    "AwsSolutions-KDS3": "the region's own key, which the region alone may use",
    "AwsSolutions-S1": f"a log of requests {_ADDRESSES}",
    "AwsSolutions-ELB2": f"a log of requests {_ADDRESSES}",
    "AwsSolutions-AEC5": "security groups decide who connects; clients know the documented port",
    "AwsSolutions-AEC6": "users authenticate by IAM, so there is no token to keep",
    "AwsSolutions-RDS11": "security groups decide who connects; clients know the documented port",
    "AwsSolutions-SMG4": "keys of HMACs, which must not change, and what its CA renews: stacks/secrets.py",
    "AwsSolutions-ECS2": "settings are no secrets; those that are come from Secrets Manager",
    "CloudFormation-Validate::W3010": "zones are named so that a synthesis asks no account",
}
EVERY_RESOURCE = "statements that deploy.guards.EVERYTHING lists, each with its reason; the guard refuses any other"


def acknowledge(app: cdk.App, places: Iterable[Place]) -> None:
    """Say of each finding why it is meant."""
    found = RULES | {_wildcard("*"): EVERY_RESOURCE}
    for place in places:
        found |= {_wildcard(resource): reason for resource, reason in _wildcards(place).items()}
    cdk.Validations.of(app).acknowledge(
        *(cdk.Acknowledgment(id=rule, reason=reason) for rule, reason in sorted(found.items()))
    )


def _wildcard(resource: str) -> str:
    return f"AwsSolutions-IAM5[Resource::{resource}]"


def _wildcards(place: Place) -> dict[str, str]:
    """Wildcards in policies of a place: each ends in names that come and go, of what is the place's own."""
    own = {
        place.arn("logs", "log-group:RDSOSMetrics:log-stream:*"): "a stream a run of RDS' own monitoring",
        place.arn("ecs", f"service/fleetlake-{place.name}/*"): "services of the place's own cluster",
    }
    exchange = f"arn:aws:s3:::{place.deployment.exchange_bucket}"
    if place.name == WORLD:
        return own | {f"{exchange}/region=*": "the world reads what every region released"}
    lake = f"arn:aws:s3:::{place.deployment.lake_bucket(place.name)}"
    folders = ("landing", "rejected", "replayed", "warehouse", "exports", "pipes", "logs", "code")
    return {
        **own,
        **{f"{lake}/{folder}/*": "objects of one folder of the region's own lake" for folder in folders},
        **{
            place.arn("logs", f"log-group:/fleetlake/{place.name}/metrics-{role}:*"): "streams of the agent's own log"
            for role in ("consumer", "gateway", "serving")
        },
        f"{lake}/exports/suppression/*": "copies of the suppression list",
        f"{exchange}/region={place.name}/*": "the region's own prefix of the exchange",
        place.arn("glue", "table/history/*"): "tables of the region's own catalog",
        place.arn("kinesis", f"stream/telemetry-{place.name}/consumer/*"): "consumers of the region's own stream",
        place.arn("emr-serverless", "/applications/*"): "a condition binds it to the region's own application",
        place.arn("ecs", f"task-definition/fleetlake-{place.name}-watch:*"): "revisions of one task definition",
    }
