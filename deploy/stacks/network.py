"""Network, key and image repositories of a place. Nothing peers with another place."""

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr

from deploy.environment import GRPC_PORT, HTTP_PORT, IMAGES, METRICS_PORT, MQTT_PORT, SERVING_PORT, WEB_PORT
from deploy.stacks.kit import ZONES, Place, allow, document, export, imported, keep, log_group, make_key, role

CIDR = "10.20.0.0/16"
POSTGRES_PORT, REDIS_PORT, HTTPS = 5432, 6379, 443
_ENDPOINTS = ("kinesis-streams", "secretsmanager", "logs", "ecr.api", "ecr.dkr", "kms", "emr-serverless", "sts", "glue")
GROUPS: dict[str, tuple[tuple[str, int], ...]] = {
    "front": (("internet", MQTT_PORT), ("internet", HTTPS)),
    "gateway": (("front", MQTT_PORT), ("front", HTTP_PORT), ("front", METRICS_PORT)),
    "web": (("internet", HTTPS),),
    "serving": (("web", SERVING_PORT),),
    "consumer": (),
    "dagster": (("inside", WEB_PORT),),
    "orchestration": (("dagster", GRPC_PORT),),
    "spark": (),
    "rotation": (),
    "redis": tuple((group, REDIS_PORT) for group in ("gateway", "consumer", "serving", "orchestration")),
    "postgres": tuple(
        (group, POSTGRES_PORT)
        for group in ("gateway", "consumer", "serving", "dagster", "orchestration", "spark", "rotation")
    ),
    "endpoints": (("inside", HTTPS),),
}
"""Security groups in the order in which they are made: who may come in, and on which port."""


def add_network(place: Place, *, with_devices: bool) -> cdk.Stack:
    """The stack `network`. with_devices: addresses that devices connect to, for allow-lists."""
    stack = place.stack("network", "network, key, image repositories")
    make_key(stack, place)
    vpc = _vpc(stack, place)
    _security_groups(stack, place, vpc.ref)
    _endpoints(stack, place, vpc.ref)
    for image in IMAGES:
        _repository(stack, place, image)
    if with_devices:
        for letter in ZONES:
            address = ec2.CfnEIP(stack, f"Address{letter.upper()}", domain="vpc")
            keep(address)  # customers have it in their allow-lists
            export(stack, place, f"address-{letter}", address.attr_allocation_id)
    return stack


def group(place: Place, name: str) -> str:
    """A security group of the place."""
    return imported(place, f"group-{name}")


def _vpc(stack: cdk.Stack, place: Place) -> ec2.CfnVPC:
    vpc = ec2.CfnVPC(stack, "Vpc", cidr_block=CIDR, enable_dns_hostnames=True, enable_dns_support=True)
    gateway = ec2.CfnInternetGateway(stack, "InternetGateway")
    attached = ec2.CfnVPCGatewayAttachment(stack, "Attached", vpc_id=vpc.ref, internet_gateway_id=gateway.ref)
    tables = {kind: ec2.CfnRouteTable(stack, f"{kind.title()}Routes", vpc_id=vpc.ref) for kind in _KINDS}
    for number, (kind, letter) in enumerate((kind, letter) for kind in _KINDS for letter in ZONES):
        _subnet(stack, place, vpc, tables[kind], kind, letter, number)
    out = ec2.CfnRoute(
        stack, "PublicOut", route_table_id=tables["public"].ref, destination_cidr_block="0.0.0.0/0",
        gateway_id=gateway.ref,
    )  # fmt: skip
    out.add_resource_dependency(attached)
    _way_out(stack, tables["private"])
    for service in ("s3", "dynamodb"):
        ec2.CfnVPCEndpoint(
            stack, f"{service.title()}Endpoint", vpc_id=vpc.ref, vpc_endpoint_type="Gateway",
            service_name=f"com.amazonaws.{place.aws_region}.{service}",
            route_table_ids=[table.ref for table in tables.values()],
        )  # fmt: skip
    _flow_logs(stack, place, vpc.ref)
    export(stack, place, "vpc", vpc.ref)
    return vpc


_KINDS = ("public", "private", "data")


def _subnet(
    stack: cdk.Stack, place: Place, vpc: ec2.CfnVPC, table: ec2.CfnRouteTable, kind: str, letter: str, number: int
) -> None:
    subnet = ec2.CfnSubnet(
        stack, f"{kind.title()}{letter.upper()}", vpc_id=vpc.ref, availability_zone=place.aws_region + letter,
        cidr_block=f"10.20.{number * 16}.0/20", map_public_ip_on_launch=False,
    )  # fmt: skip
    ec2.CfnSubnetRouteTableAssociation(
        stack, f"{kind.title()}{letter.upper()}Routed", subnet_id=subnet.ref, route_table_id=table.ref
    )
    export(stack, place, f"{kind}-{letter}", subnet.ref)


def _way_out(stack: cdk.Stack, table: ec2.CfnRouteTable) -> None:
    """One NAT: nothing of the data's way goes through it, only key sets of the OIDC provider and the metrics' agent."""
    address = ec2.CfnEIP(stack, "NatAddress", domain="vpc")
    nat = ec2.CfnNatGateway(stack, "Nat", allocation_id=address.attr_allocation_id, subnet_id=cdk.Fn.ref("PublicA"))
    ec2.CfnRoute(
        stack, "PrivateOut", route_table_id=table.ref, destination_cidr_block="0.0.0.0/0", nat_gateway_id=nat.ref
    )


def _flow_logs(stack: cdk.Stack, place: Place, vpc: str) -> None:
    group_ = log_group(stack, place, "flow")
    group_.kms_key_id = cdk.Fn.get_att("Key", "Arn").to_string()
    write = allow("WriteFlow", ["logs:CreateLogStream", "logs:PutLogEvents"], [group_.attr_arn])
    writer = role(stack, "flow-logs", place, service="vpc-flow-logs.amazonaws.com", policies={"write": document(write)})
    ec2.CfnFlowLog(
        stack, "Flow", resource_id=vpc, resource_type="VPC", traffic_type="REJECT", log_group_name=group_.ref,
        deliver_logs_permission_arn=writer.attr_arn,
    )  # fmt: skip


def _security_groups(stack: cdk.Stack, place: Place, vpc: str) -> None:
    made: dict[str, ec2.CfnSecurityGroup] = {}
    for name, allowed in GROUPS.items():
        rules = [_rule(made, source, port) for source, port in allowed]
        made[name] = ec2.CfnSecurityGroup(
            stack, f"{name.title()}Group", vpc_id=vpc, group_description=f"Fleetlake {place.name}: {name}",
            security_group_ingress=rules,
        )  # fmt: skip
        export(stack, place, f"group-{name}", made[name].attr_group_id)


def _rule(made: dict[str, ec2.CfnSecurityGroup], source: str, port: int) -> dict[str, object]:
    rule: dict[str, object] = {"ipProtocol": "tcp", "fromPort": port, "toPort": port, "description": source}
    where = {"internet": "0.0.0.0/0", "inside": CIDR}
    if source in where:
        return rule | {"cidrIp": where[source]}
    return rule | {"sourceSecurityGroupId": made[source].attr_group_id}


def _endpoints(stack: cdk.Stack, place: Place, vpc: str) -> None:
    for service in _ENDPOINTS:
        ec2.CfnVPCEndpoint(
            stack, f"{service.title().replace('.', '').replace('-', '')}Endpoint", vpc_id=vpc,
            service_name=f"com.amazonaws.{place.aws_region}.{service}", vpc_endpoint_type="Interface",
            private_dns_enabled=True, security_group_ids=[cdk.Fn.get_att("EndpointsGroup", "GroupId").to_string()],
            subnet_ids=[cdk.Fn.ref(f"Private{letter.upper()}") for letter in ZONES[:2]],
        )  # fmt: skip


def _repository(stack: cdk.Stack, place: Place, image: str) -> None:
    keep(
        ecr.CfnRepository(
            stack, f"{image.title()}Images", repository_name=f"fleetlake/{image}", image_tag_mutability="IMMUTABLE",
            image_scanning_configuration={"scanOnPush": True},
            encryption_configuration={"encryptionType": "KMS", "kmsKey": cdk.Fn.get_att("Key", "Arn").to_string()},
        )
    )  # fmt: skip
