"""What fails a synthesis: a store that may be lost, a policy of everything, a region by default, no cdk-nag."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from contracts.errors import FleetlakeError
from contracts.regions import Region
from deploy.assembly import Resource, Template, listed, statements
from deploy.deployment import MOST_BACKUP_DAYS, Deployment
from deploy.environment import FILES, LEFT_OUT, SECRETS

STORES = frozenset({
    "AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::Kinesis::Stream", "AWS::RDS::DBInstance", "AWS::KMS::Key",
    "AWS::SecretsManager::Secret", "AWS::ElastiCache::ReplicationGroup", "AWS::ECR::Repository",
})  # fmt: skip
"""Types whose loss loses something that nothing brings back, or all its images, addresses or keys."""
EVERYTHING: Mapping[str, str] = {
    "AccountAdministers": "a key's policy speaks of the key itself; without this nobody could change it",
    "LogsAndAlarms": "a key's policy speaks of the key itself; for this account's logs and alarms alone",
    "Registry": "ecr:GetAuthorizationToken has no resource; it opens no repository by itself",
    "OwnNamespace": "cloudwatch:PutMetricData has no resource; a condition binds it to the role's namespace",
    "Interfaces": "interfaces of a function in a network have no resource before they are made",
}
"""Statements that may name every resource, and why: IAM has no narrower word for them."""
_REGION_OF_AWS = re.compile(
    r"\b(?:af|ap|ca|eu|il|me|mx|sa|us)-(?:central|east|north|northeast|south|southeast|west)-\d\b"
)


class GuardFailed(FleetlakeError):
    """A template asks for what a deployment must not have."""


def check_guards(templates: Sequence[Template], regions: Mapping[str, Region], deployment: Deployment) -> None:
    """Raises GuardFailed, which names every finding."""
    found = [
        *lost_stores(templates),
        *grants_of_everything(templates),
        *default_regions(templates, regions, deployment),
        *long_backups(templates),
        *settings_missing(templates),
    ]
    if found:
        raise GuardFailed("the deployment is refused:\n" + "\n".join(f"- {line}" for line in sorted(found)))


def lost_stores(templates: Sequence[Template]) -> Iterator[str]:
    """Stores that go with their stack, or with a change that replaces them."""
    for template in templates:
        for store in template.resources(*STORES):
            kept = {store.attributes.get("DeletionPolicy"), store.attributes.get("UpdateReplacePolicy")}
            if kept != {"Retain"}:
                yield f"{store.stack}: {store.logical} ({store.kind}) may be lost; keep() it"


def grants_of_everything(templates: Sequence[Template]) -> Iterator[str]:
    """Statements that allow every action, or that name every resource without being one of EVERYTHING."""
    for template in templates:
        for resource in template.resources():
            for statement in statements(resource):
                if statement["Effect"] == "Allow":
                    yield from (
                        f"{resource.stack}: {resource.logical}: {why}" for why in _too_much(resource, statement)
                    )


def _too_much(resource: Resource, statement: Mapping[str, Any]) -> Iterator[str]:
    sid = str(statement.get("Sid", ""))
    actions = [str(action) for action in listed(statement.get("Action", "*"))]
    broad = [action for action in actions if action == "*" or action.endswith(":*")]
    if broad and sid != "AccountAdministers":
        yield f"{sid or 'a statement'} allows {', '.join(broad)}; name the actions"
    if "*" in listed(statement.get("Resource", [])) and sid not in EVERYTHING:
        yield f"{sid or 'a statement'} names every resource; name them, or say in deploy.guards.EVERYTHING why not"
    if resource.kind == "AWS::IAM::Role" and statement.get("Principal") == "*":
        yield "anybody may assume it"


def default_regions(
    templates: Sequence[Template], regions: Mapping[str, Region], deployment: Deployment
) -> Iterator[str]:
    """Stacks without a region of AWS, or in another than their place's; tasks that are not told theirs."""
    own = {name: row.aws_region for name, row in regions.items()}
    own |= {"world": deployment.world_aws_region, "network": deployment.network_aws_region}
    for template in templates:
        if template.aws_region != own.get(template.place):
            yield f"{template.stack} is in {template.aws_region}; {template.place} is in {own[template.place]}"
        for task in template.resources("AWS::ECS::TaskDefinition"):
            for container in _own_containers(task):
                given = _variables(container)
                if (
                    given.get("AWS_REGION") != own[template.place]
                    or given.get("AWS_DEFAULT_REGION") != given["AWS_REGION"]
                ):
                    yield f"{task.stack}: {task.logical}: {container['Name']} is not told its region of AWS"


def long_backups(templates: Sequence[Template]) -> Iterator[str]:
    """Backups that would still hold what an erasure promised to be gone."""
    for template in templates:
        for resource in template.resources():
            for where, days in _backup_days(resource):
                if not 1 <= days <= MOST_BACKUP_DAYS:
                    yield f"{resource.stack}: {resource.logical}: {where} is {days} days, not 1 to {MOST_BACKUP_DAYS}"


def _backup_days(resource: Resource) -> Iterator[tuple[str, int]]:
    own = resource.properties
    if resource.kind == "AWS::RDS::DBInstance":
        yield "BackupRetentionPeriod", int(own.get("BackupRetentionPeriod", 0))
    if resource.kind == "AWS::DynamoDB::Table":
        recovery = own.get("PointInTimeRecoverySpecification", {})
        yield "PointInTimeRecovery", int(recovery.get("RecoveryPeriodInDays", 35))
    if resource.kind == "AWS::S3::Bucket":
        rules = own.get("LifecycleConfiguration", {}).get("Rules", [])
        days = [rule["NoncurrentVersionExpiration"]["NoncurrentDays"] for rule in rules if
                "NoncurrentVersionExpiration" in rule]  # fmt: skip
        yield "NoncurrentVersionExpiration", int(min(days, default=0))


def settings_missing(templates: Sequence[Template]) -> Iterator[str]:
    """Settings that a process of a region is not given, by value, secret or file, and that are not left out by name."""
    from contracts.settings import RegionSettings
    from deploy.environment import variables

    wanted = {name for name, _ in variables(RegionSettings)} - set(LEFT_OUT)
    files = {f"{name}_PEM" for name in FILES}
    for template in templates:
        for task in template.resources("AWS::ECS::TaskDefinition"):
            for container in _own_containers(task):
                given = set(_variables(container)) | {one["Name"] for one in container.get("Secrets", [])}
                if "FLEETLAKE_REGION" not in given or template.place == "world":
                    continue
                lacks = wanted - given - set(FILES) - ({*SECRETS} - {"FLEETLAKE_POSTGRES_DSN", "FLEETLAKE_PRIVACY_DSN"})
                if container["Name"] == "gateway":
                    lacks |= files - given
                if lacks:
                    yield f"{task.stack}: {container['Name']} is not given {', '.join(sorted(lacks))}"


def _own_containers(task: Resource) -> Iterator[Mapping[str, Any]]:
    return (one for one in task.properties["ContainerDefinitions"] if one["Name"] != "metrics")


def _variables(container: Mapping[str, Any]) -> dict[str, Any]:
    return {pair["Name"]: pair["Value"] for pair in container.get("Environment", [])}


def regions_named(value: Any) -> set[str]:
    """Regions of AWS that a text, or anything in a value, names."""
    if isinstance(value, str):
        return set(_REGION_OF_AWS.findall(value))
    if isinstance(value, Mapping):
        return set().union(*(regions_named(inner) for pair in value.items() for inner in pair))
    if isinstance(value, list):
        return set().union(*(regions_named(inner) for inner in value))
    return set()
