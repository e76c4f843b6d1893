"""ECS: a task definition and a service for each role, under the role's own policy, with a read-only root."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam

from deploy.agent import agent_settings, scrape_settings
from deploy.environment import METRICS_PORT, STATE, machine
from deploy.stacks.kit import Place, allow, document, imported, key_arn, log_group, role, subnets
from deploy.stacks.network import group

AGENT_IMAGE = "public.ecr.aws/cloudwatch-agent/cloudwatch-agent:1.300063.0b1323"
STOP_S = 60
USER = "10001:10001"
_CONTAINER = ("python", "-m", "deploy.container")


@dataclass(frozen=True, kw_only=True)
class Task:
    """One kind of task. cpu in 1/1024 of a core. secrets: variable to part of the secret's name."""

    name: str
    image: str
    command: Sequence[str]
    cpu: int
    memory_mib: int
    environment: Mapping[str, str]
    secrets: Mapping[str, str]
    policy: Mapping[str, Any] | None
    group: str
    ports: Sequence[int] = ()
    health_path: str | None = None
    health_port: int = METRICS_PORT
    metrics: str | None = None
    """The role whose metrics the agent beside it sends."""
    balanced: Sequence[Mapping[str, Any]] = field(default=())
    registry: str | None = None
    fewest: int = 1
    deploy_alarms: Sequence[str] = ()


def image_of(place: Place, image: str) -> str:
    """An image of the place's own repositories."""
    where = f"{place.account}.dkr.ecr.{place.aws_region}.amazonaws.com"
    return f"{where}/fleetlake/{image}:{place.deployment.version}"


def add_service(stack: cdk.Stack, place: Place, task: Task) -> ecs.CfnService:
    """A service that keeps its tasks running, and takes a deployment back whose tasks do not become healthy."""
    definition = add_task(stack, place, task)
    return ecs.CfnService(
        stack, _logical(task.name, "Service"), service_name=task.name, cluster=f"fleetlake-{place.name}",
        task_definition=definition.ref, launch_type="FARGATE", desired_count=task.fewest, propagate_tags="SERVICE",
        platform_version="1.4.0", enable_ecs_managed_tags=True, availability_zone_rebalancing="ENABLED",
        deployment_configuration={
            "minimumHealthyPercent": 100, "maximumPercent": 150 if task.fewest > 1 else 200,
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        },
        network_configuration={"awsvpcConfiguration": {
            "assignPublicIp": "DISABLED", "subnets": subnets(place, "private"),
            "securityGroups": [group(place, task.group)],
        }},
        load_balancers=list(task.balanced) or None, health_check_grace_period_seconds=120 if task.balanced else None,
        service_registries=[{"registryArn": task.registry}] if task.registry else None,
    )  # fmt: skip


def add_task(stack: cdk.Stack, place: Place, task: Task) -> ecs.CfnTaskDefinition:
    """The task definition, with its roles and its log."""
    log = log_group(stack, place, task.name)
    containers = [_container(place, task, log.ref)]
    if task.metrics:
        containers.append(_agent(place, task, log.ref))
    return ecs.CfnTaskDefinition(
        stack, _logical(task.name, "Task"), family=f"fleetlake-{place.name}-{task.name}", network_mode="awsvpc",
        requires_compatibilities=["FARGATE"], cpu=str(task.cpu), memory=str(task.memory_mib),
        runtime_platform={"cpuArchitecture": place.deployment.architecture, "operatingSystemFamily": "LINUX"},
        task_role_arn=_task_role(stack, place, task).attr_arn,
        execution_role_arn=_execution_role(stack, place, task, log.attr_arn).attr_arn,
        container_definitions=containers, volumes=[{"name": "state"}, {"name": "tmp"}],
    )  # fmt: skip


def _container(place: Place, task: Task, log: str) -> dict[str, Any]:
    pairs = {**machine(place.aws_region), **task.environment}
    check = f"http://127.0.0.1:{task.health_port}{task.health_path}"
    probe = f"import urllib.request as r; r.urlopen({check!r}, timeout=4)"
    healthy = {"command": ["CMD", "python", "-c", probe], "interval": 15, "timeout": 5, "retries": 4, "startPeriod": 90}
    return {
        "name": task.name, "image": image_of(place, task.image), "command": [*_CONTAINER, *task.command],
        "essential": True, "readonlyRootFilesystem": True, "user": USER, "stopTimeout": STOP_S,
        "linuxParameters": {"initProcessEnabled": True},
        "environment": [{"name": name, "value": value} for name, value in sorted(pairs.items())],
        "secrets": [
            {"name": name, "valueFrom": imported(place, f"secret-{part}")}
            for name, part in sorted(task.secrets.items())
        ],
        "portMappings": [{"containerPort": port, "protocol": "tcp"} for port in task.ports],
        "mountPoints": [
            {"sourceVolume": "state", "containerPath": STATE, "readOnly": False},
            {"sourceVolume": "tmp", "containerPath": "/tmp", "readOnly": False},  # noqa: S108 - the task's own volume
        ],
        "logConfiguration": _log_to(place, log, task.name),
        **({"healthCheck": healthy} if task.health_path else {}),
    }  # fmt: skip


def _agent(place: Place, task: Task, log: str) -> dict[str, Any]:
    """CloudWatch's agent reads the task's page of metrics and sends those that an alarm or a policy reads."""
    role_ = str(task.metrics)
    return {
        "name": "metrics", "image": AGENT_IMAGE, "essential": False, "cpu": 32, "memory": 128,
        "environment": [
            {"name": "CW_CONFIG_CONTENT", "value": json.dumps(agent_settings(place.name, role_))},
            {"name": "PROMETHEUS_CONFIG_CONTENT", "value": scrape_settings(place.name, role_, task.health_port)},
        ],
        "logConfiguration": _log_to(place, log, "agent"),
    }  # fmt: skip


def _log_to(place: Place, log: str, prefix: str) -> dict[str, Any]:
    options = {"awslogs-group": log, "awslogs-region": place.aws_region, "awslogs-stream-prefix": prefix}
    return {"logDriver": "awslogs", "options": options | {"mode": "non-blocking", "max-buffer-size": "4m"}}


def _task_role(stack: cdk.Stack, place: Place, task: Task) -> iam.CfnRole:
    policies = {"own": task.policy} if task.policy else {}
    if task.metrics:
        namespace = {"StringEquals": {"cloudwatch:namespace": f"Fleetlake/{task.metrics}"}}
        events = place.arn("logs", f"log-group:/fleetlake/{place.name}/metrics-{task.metrics}")
        policies["metrics"] = document(
            allow("OwnNamespace", ["cloudwatch:PutMetricData"], "*", **namespace),
            allow("MetricLog", ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents",
                                "logs:DescribeLogStreams"], [events, f"{events}:*"]),
        )  # fmt: skip
    return role(stack, task.name, place, service="ecs-tasks.amazonaws.com", policies=policies)


def _execution_role(stack: cdk.Stack, place: Place, task: Task, log_arn: str) -> iam.CfnRole:
    """What ECS itself does to start the task: its image, its secrets, its log."""
    images = place.arn("ecr", f"repository/fleetlake/{task.image}")
    pull = ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"]
    statements = [
        allow("Image", pull, images),
        allow("Registry", ["ecr:GetAuthorizationToken"], "*"),
        allow("Log", ["logs:CreateLogStream", "logs:PutLogEvents"], [log_arn]),
    ]
    if task.secrets:
        arns = [imported(place, f"secret-{part}") for part in sorted(set(task.secrets.values()))]
        statements.append(allow("Secrets", ["secretsmanager:GetSecretValue"], arns))
        statements.append(allow("SecretsKey", ["kms:Decrypt"], key_arn(place)))
    name = f"{task.name}-start"
    return role(stack, name, place, service="ecs-tasks.amazonaws.com", policies={"start": document(*statements)})


def _logical(name: str, kind: str) -> str:
    return "".join(part.title() for part in name.split("-")) + kind
