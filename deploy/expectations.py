"""What the templates must say whatever the deployment chooses: looked at in the JSON that CloudFormation is given."""

from collections.abc import Iterator, Mapping, Sequence

from contracts.names import leases_table, ledger_table, stream
from contracts.regions import Region
from deploy.alarms import ALARMS
from deploy.assembly import Resource, Template, listed
from deploy.deployment import Deployment

_ROLES = ("gateway", "consumer", "serving")


def unmet(templates: Sequence[Template], regions: Mapping[str, Region], deployment: Deployment) -> list[str]:
    """Every expectation that does not hold; none where all do."""
    found = list[str]()
    for region in regions.values():
        own = [template for template in templates if template.place == region.name]
        found += [f"{region.name}: {line}" for line in _of_region(own, region, deployment)]
        budgets = [one.properties["Budget"]["BudgetName"] for one in _all(templates, "AWS::Budgets::Budget")]
        if f"fleetlake-{region.name}" not in budgets:
            found.append(f"{region.name}: it has no budget")
    for template in templates:
        found += [f"{template.stack}: {line}" for line in _of_every_stack(template)]
    return sorted(found)


def _of_region(own: Sequence[Template], region: Region, deployment: Deployment) -> Iterator[str]:
    yield from _stores(own, region)
    yield from _scaling(own, deployment)
    yield from _alarms(own, region)
    yield from _entrances(own)


def _all(own: Sequence[Template], kind: str) -> list[Resource]:
    return [resource for template in own for resource in template.resources(kind)]


def _stores(own: Sequence[Template], region: Region) -> Iterator[str]:
    streams = _all(own, "AWS::Kinesis::Stream")
    if [one.properties["Name"] for one in streams] != [stream(region.name)]:
        yield "it has not exactly its own stream"
    for one in streams:
        if one.properties.get("StreamEncryption", {}).get("EncryptionType") != "KMS":
            yield "its stream is not encrypted by its key"
        if one.properties.get("RetentionPeriodHours", 24) < 168:  # noqa: PLR2004 - seven days
            yield "its stream keeps less than seven days"
    tables = {one.properties["TableName"] for one in _all(own, "AWS::DynamoDB::Table")}
    if tables != {leases_table(region.name), ledger_table(region.name)}:
        yield f"its tables are {', '.join(sorted(tables))}"
    for cache in _all(own, "AWS::ElastiCache::ReplicationGroup"):
        kept = cache.properties
        if not (kept.get("TransitEncryptionEnabled") and kept.get("MultiAZEnabled")):
            yield "live state is not encrypted on its way, or in one zone"
        if kept.get("SnapshotRetentionLimit", 0):
            yield "live state has snapshots, which no erasure reaches"
    for rules in _all(own, "AWS::ElastiCache::ParameterGroup"):
        if rules.properties["Properties"].get("maxmemory-policy") != "noeviction":
            yield "live state evicts: an older record could count as the newest"
    for database in _all(own, "AWS::RDS::DBInstance"):
        if database.properties.get("PubliclyAccessible", True) or not database.properties.get("MultiAZ"):
            yield "Postgres is public, or in one zone"


def _scaling(own: Sequence[Template], deployment: Deployment) -> Iterator[str]:
    targets = {
        str(one.properties["ResourceId"]).rpartition("/")[2]: one.properties
        for one in _all(own, "AWS::ApplicationAutoScaling::ScalableTarget")
    }
    for role in _ROLES:
        limits = getattr(deployment, role).tasks
        found = targets.get(role, {})
        if (found.get("MinCapacity"), found.get("MaxCapacity")) != tuple(limits):
            yield f"{role} does not scale from {limits[0]} to {limits[1]} tasks"
    for one in _all(own, "AWS::Kinesis::Stream"):
        if one.properties.get("ShardCount", deployment.consumer.tasks[1]) < deployment.consumer.tasks[1]:
            yield "it has fewer shards by day than workers at the most: some would stand idle"
    for policy in _all(own, "AWS::ApplicationAutoScaling::ScalingPolicy"):
        steps = policy.properties.get("StepScalingPolicyConfiguration", {}).get("StepAdjustments", [])
        if any(step.get("ScalingAdjustment", 0) == 0 for step in steps):
            yield f"{policy.logical} has a step that changes nothing"
    for service in _all(own, "AWS::ECS::Service"):
        if not service.properties["DeploymentConfiguration"].get("DeploymentCircuitBreaker", {}).get("Rollback"):
            yield f"{service.logical} keeps a deployment whose tasks do not become healthy"


def _alarms(own: Sequence[Template], region: Region) -> Iterator[str]:
    made = {one.properties["AlarmName"]: one.properties for one in _all(own, "AWS::CloudWatch::Alarm")}
    for alarm in ALARMS:
        found = made.get(f"fleetlake-{region.name}-{alarm.name}")
        if found is None or not listed(found.get("AlarmActions", [])):
            yield f"the alarm {alarm.name} is not there, or tells nobody"


def _entrances(own: Sequence[Template]) -> Iterator[str]:
    for listener in _all(own, "AWS::ElasticLoadBalancingV2::Listener"):
        # The gateway ends TLS itself: the balancer's own would verify no client certificate.
        if listener.properties["Protocol"] not in ("TCP", "HTTPS"):
            yield f"{listener.logical} listens by {listener.properties['Protocol']}"
    for balancer in _all(own, "AWS::ElasticLoadBalancingV2::LoadBalancer"):
        if balancer.properties["Type"] == "application" and not _all(own, "AWS::WAFv2::WebACLAssociation"):
            yield f"{balancer.logical} is behind no firewall"


def _of_every_stack(template: Template) -> Iterator[str]:
    yield from _containers(template)
    yield from _buckets(template)
    for group in template.resources("AWS::EC2::SecurityGroup"):
        for rule in group.properties.get("SecurityGroupIngress", []):
            if rule.get("CidrIp") == "0.0.0.0/0" and group.logical not in ("FrontGroup", "WebGroup"):
                yield f"{group.logical} lets the internet in"
    for kind in ("AWS::S3::Bucket", "AWS::Kinesis::Stream", "AWS::DynamoDB::Table", "AWS::RDS::DBInstance"):
        for store in template.resources(kind):
            tags = {tag["Key"]: tag["Value"] for tag in store.properties.get("Tags", [])}
            if tags.get("fleetlake-region") != template.place:
                yield f"{store.logical} does not say whose it is"


def _containers(template: Template) -> Iterator[str]:
    for task in template.resources("AWS::ECS::TaskDefinition"):
        for container in task.properties["ContainerDefinitions"]:
            if container["Name"] == "metrics":
                continue
            if not container.get("ReadonlyRootFilesystem") or container.get("User", "0").startswith("0"):
                yield f"{task.logical}: {container['Name']} may write its root, or is root"
            if container.get("Privileged"):
                yield f"{task.logical}: {container['Name']} is privileged"


def _buckets(template: Template) -> Iterator[str]:
    for bucket in template.resources("AWS::S3::Bucket"):
        if bucket.properties.get("VersioningConfiguration", {}).get("Status") != "Enabled":
            yield f"{bucket.logical} keeps no earlier versions"
        if not all(bucket.properties.get("PublicAccessBlockConfiguration", {"": False}).values()):
            yield f"{bucket.logical} may be public"
