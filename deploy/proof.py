"""Shows over the templates that nothing of one place reaches another: no grant, no peering, no replication, no import.

It shares nothing with what made the templates but the names of the region table.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from contracts.errors import FleetlakeError
from contracts.names import exchange_prefix
from contracts.regions import WORLD, Region
from deploy.assembly import Template, listed, statements
from deploy.deployment import NETWORK, Deployment
from deploy.guards import regions_named

CROSSING = re.compile(
    r"AWS::(EC2::(VPCPeering|TransitGateway|VPNConnection|CustomerGateway|VPCEndpointService)|RAM::|NetworkManager::|DynamoDB::GlobalTable"
    r"|RDS::GlobalCluster|ElastiCache::GlobalReplicationGroup|S3::MultiRegionAccessPoint|DataSync::|DMS::)"
)
"""Types of resource by which one place could reach another."""
_ARN = re.compile(r"arn:aws:[a-z0-9-]+:([a-z0-9-]*):(\d*):")
_REPLICATING = (
    "ReplicationConfiguration",
    "ReplicaRegions",
    "SourceDBInstanceIdentifier",
    "Replicas",
    "DestinationRegion",
)


class Crossing(FleetlakeError):
    """A template lets one place reach another."""


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at."""

    stacks: int
    resources: int
    grants: int
    pairs: int
    """Ordered pairs of places between which nothing was found."""
    exchange_grants: int
    """The grants that do cross: of a region's role on its own prefix of the exchange."""


def prove_apart(templates: Sequence[Template], regions: Mapping[str, Region], deployment: Deployment) -> Proof:
    """Looks at every statement, ARN, import and type of every stack. Raises Crossing, which names each finding."""
    found, grants, crossing = list[str](), 0, 0
    for template in templates:
        found += _types_that_cross(template)
        found += _imports_of_others(template)
        found += _foreign_places(template, regions, deployment)
        for resource in template.resources():
            for statement in statements(resource):
                if statement["Effect"] != "Allow":
                    continue
                grants += 1
                if _crosses(template, statement, deployment):
                    crossing += 1
                    found += _wider_than_the_exchange(template, statement, regions, deployment)
    if found:
        raise Crossing("places are not apart:\n" + "\n".join(f"- {line}" for line in sorted(set(found))))
    places = {template.place for template in templates}
    resources = sum(len(template.body.get("Resources", {})) for template in templates)
    return Proof(
        stacks=len(templates), resources=resources, grants=grants, pairs=len(places) * (len(places) - 1),
        exchange_grants=crossing,
    )  # fmt: skip


def _types_that_cross(template: Template) -> Iterator[str]:
    for resource in template.resources():
        if CROSSING.match(resource.kind):
            yield f"{template.stack}: {resource.logical} is a {resource.kind}"
        text = json.dumps(resource.properties)
        yield from (f"{template.stack}: {resource.logical} has {word}" for word in _REPLICATING if f'"{word}"' in text)


def _imports_of_others(template: Template) -> Iterator[str]:
    for name in _imports(template.body):
        if not (isinstance(name, str) and name.startswith(f"fleetlake-{template.place}-")):
            yield f"{template.stack} imports {name}"


def _imports(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in ("Fn::ImportValue", "Fn::GetStackOutput"):
                yield inner
            else:
                yield from _imports(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _imports(inner)


def _foreign_places(template: Template, regions: Mapping[str, Region], deployment: Deployment) -> Iterator[str]:
    """Other places' accounts, regions of AWS, buckets, streams and tables, anywhere in a template."""
    if template.place == NETWORK:
        # It names the regions' public host names, and grants nothing: that is looked at with its statements.
        return
    for resource in template.resources():
        if template.place == WORLD and resource.kind == "AWS::S3::BucketPolicy":
            continue  # the exchange's policy; its statements are looked at one by one
        text = json.dumps(resource.properties)
        for _, account in _ARN.findall(text):
            if account and account != template.account:
                yield f"{template.stack}: {resource.logical} names account {account}"
        for other in sorted(regions_named(resource.properties) - {template.aws_region}):
            yield f"{template.stack}: {resource.logical} names {other}"
        for other in regions:
            if other != template.place and re.search(_own_names(other, deployment), text):
                yield f"{template.stack}: {resource.logical} names what is {other}'s"


def _own_names(region: str, deployment: Deployment) -> str:
    own = (f"telemetry-{region}", f"leases-{region}", f"ledger-{region}", deployment.lake_bucket(region))
    return "|".join(rf"\b{re.escape(name)}\b" for name in (*own, f"fleetlake/{region}/", f"region={region}/"))


def _crosses(template: Template, statement: Mapping[str, Any], deployment: Deployment) -> bool:
    """Whether it gives to, or takes from, another place: another account, or a bucket that is not this place's."""
    text = json.dumps(statement)
    others = {account for _, account in _ARN.findall(text) if account} - {template.account}
    return bool(others) or (template.place != WORLD and deployment.exchange_bucket in text)


def _wider_than_the_exchange(
    template: Template, statement: Mapping[str, Any], regions: Mapping[str, Region], deployment: Deployment
) -> Iterator[str]:
    """What crosses is a region's role on its own prefix of the exchange: put, get, and list below the prefix."""
    sid, arn = statement.get("Sid", "a statement"), f"arn:aws:s3:::{deployment.exchange_bucket}"
    whose = [template.place] if template.place in regions else _regions_of(statement, regions, deployment)
    if len(whose) != 1:
        yield f"{template.stack}: {sid} is for {', '.join(whose) or 'nobody of the table'}"
        return
    prefix = exchange_prefix(whose[0])
    for resource in listed(statement.get("Resource", [])):
        below = str(resource) == f"{arn}/{prefix}*"
        listing = str(resource) == arn and listed(statement["Action"]) == ["s3:ListBucket"]
        bound = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix") in (f"{prefix}*", [f"{prefix}*"])
        if not below and not (listing and bound):
            yield f"{template.stack}: {sid} lets {whose[0]} reach {resource}"
    for action in listed(statement["Action"]):
        if action not in ("s3:GetObject", "s3:PutObject", "s3:ListBucket"):
            yield f"{template.stack}: {sid} lets {whose[0]} do {action}"


def _regions_of(statement: Mapping[str, Any], regions: Mapping[str, Region], deployment: Deployment) -> list[str]:
    text = json.dumps(statement.get("Principal", ""))
    return [name for name in regions if f":{deployment.account(name)}:role/fleetlake-{name}-" in text]
