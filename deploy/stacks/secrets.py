"""Secrets of a place, and the function that makes the logins of Postgres and rotates them.

A login has two roles, of which one is current: what holds the other's password works on until the next rotation.
"""

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager

from contracts.regions import WORLD
from deploy.environment import secret_name
from deploy.stacks.kit import Place, allow, document, export, keep, key_arn, log_group, role, subnets
from deploy.stacks.network import group

ROTATE_DAYS = 30
KEPT = {
    "release-key": "contributors of releases are remembered by it; another key would forget them all",
    "credential-key": "device tokens are kept as its HMACs; another key would make every token void",
}
"""Keys of HMACs, made once: they are no passwords, and nothing but the region's own tables is proven by them."""
GIVEN = {
    "gateway-certificate": "issued by a CA that devices know; put there by whoever renews it",
    "gateway-key": "as the certificate",
}
"""Secrets whose value comes from outside."""
_REGION_LOGINS = ("postgres-dsn", "privacy-dsn", "dagster-dsn", "bi-dsn")
_WORLD_LOGINS = ("postgres-dsn", "dagster-dsn", "bi-dsn")


def add_secrets(stack: cdk.Stack, place: Place, instance: rds.CfnDBInstance) -> None:
    """The place's secrets; logins of Postgres rotate."""
    world = place.name == WORLD
    logins = {name: _secret(stack, place, name, {}) for name in (_WORLD_LOGINS if world else _REGION_LOGINS)}
    if not world:
        for name in KEPT:
            made = {"excludePunctuation": True, "passwordLength": 64, "includeSpace": False}
            _secret(stack, place, name, made)
        for name in GIVEN:
            _secret(stack, place, name, {})
    rotate = _rotation(stack, place, instance, logins)
    for name, secret in logins.items():
        schedule = secretsmanager.CfnRotationSchedule(
            stack, f"{_logical(name)}Rotation", secret_id=secret.ref, rotation_lambda_arn=rotate.attr_arn,
            rotate_immediately_on_update=True, rotation_rules={"automaticallyAfterDays": ROTATE_DAYS},
        )  # fmt: skip
        schedule.add_resource_dependency(stack.node.find_child("MayRotate"))


def _secret(stack: cdk.Stack, place: Place, name: str, made: Mapping[str, object]) -> secretsmanager.CfnSecret:
    secret = secretsmanager.CfnSecret(
        stack, _logical(name), name=secret_name(place.name, name), kms_key_id=key_arn(place),
        generate_secret_string=made or None, description=f"Fleetlake {place.name}: {name}",
    )  # fmt: skip
    keep(secret)
    export(stack, place, f"secret-{name}", secret.ref)
    return secret


def _logical(name: str) -> str:
    return "".join(part.title() for part in name.split("-"))


def _rotation(
    stack: cdk.Stack, place: Place, instance: rds.CfnDBInstance, logins: Mapping[str, secretsmanager.CfnSecret]
) -> lambda_.CfnFunction:
    arns = [secret.ref for secret in logins.values()]
    admin = instance.attr_master_user_secret_secret_arn
    read = ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]
    write = ["secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage"]
    services = place.arn("ecs", f"service/fleetlake-{place.name}/*")
    log = log_group(stack, place, "rotation")
    may = document(
        allow("Logins", [*read, *write], arns),
        allow("Admin", read, admin),
        allow("Deploy", ["ecs:UpdateService", "ecs:DescribeServices"], services),
        allow("Log", ["logs:CreateLogStream", "logs:PutLogEvents"], [log.attr_arn]),
        allow("Key", ["kms:Decrypt", "kms:GenerateDataKey"], key_arn(place)),
        # Interfaces of a function in a network; IAM knows no resource of them. Named by AWS's guide of Lambda in a VPC.
        allow("Interfaces", ["ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
                             "ec2:DescribeNetworkInterfaces"], "*"),
    )  # fmt: skip
    runner = role(stack, "rotation", place, service="lambda.amazonaws.com", policies={"rotate": may})
    image = f"{place.account}.dkr.ecr.{place.aws_region}.amazonaws.com/fleetlake/orchestration"
    function = lambda_.CfnFunction(
        stack, "Rotate", function_name=f"fleetlake-{place.name}-rotation", package_type="Image", timeout=120,
        code={"imageUri": f"{image}:{place.deployment.version}"}, role=runner.attr_arn, memory_size=512,
        architectures=["arm64" if place.deployment.architecture == "ARM64" else "x86_64"],
        image_config={"command": ["python", "-m", "deploy.rotation"]}, kms_key_arn=key_arn(place),
        logging_config={"logGroup": log.ref}, reserved_concurrent_executions=2,
        vpc_config={"subnetIds": subnets(place, "private"), "securityGroupIds": [group(place, "rotation")]},
        environment={"variables": {
            "FLEETLAKE_REGION": place.name, "FLEETLAKE_ADMIN_SECRET": admin,
            "FLEETLAKE_POSTGRES_HOST": instance.attr_endpoint_address, "FLEETLAKE_CLUSTER": f"fleetlake-{place.name}",
        }},
    )  # fmt: skip
    lambda_.CfnPermission(
        stack, "MayRotate", action="lambda:InvokeFunction", function_name=function.attr_arn,
        principal="secretsmanager.amazonaws.com", source_account=place.account,
    )  # fmt: skip
    return function
