"""Scaling of a region: each service by what it is short of, shards by the clock."""

from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_scheduler as scheduler

from contracts import names
from deploy.alarms import CONSUMER, GATEWAY, PREFIXES
from deploy.stacks.kit import Place, allow, document, role
from deploy.stacks.stores import stream_arn

OUT_S, IN_S = 60, 300
"""After scaling out the next decision may follow at once; in, only once the hand-over has settled."""
_DIMENSION = "ecs:service:DesiredCount"


def add_scaling(place: Place) -> cdk.Stack:
    """The stack `scaling` of a region."""
    stack = place.stack("scaling", "how many tasks and shards")
    _consumer(stack, place)
    _gateway(stack, place)
    _serving(stack, place)
    if place.deployment.stream.mode == "provisioned":
        _shards(stack, place)
    return stack


def _target(stack: cdk.Stack, place: Place, service: str, tasks: tuple[int, int]) -> scaling.CfnScalableTarget:
    linked = "ecs.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_ECSService"
    return scaling.CfnScalableTarget(
        stack, f"{service.title()}Tasks", service_namespace="ecs", scalable_dimension=_DIMENSION,
        resource_id=f"service/fleetlake-{place.name}/{service}", min_capacity=tasks[0], max_capacity=tasks[1],
        role_arn=f"arn:aws:iam::{place.account}:role/aws-service-role/{linked}",
    )  # fmt: skip


def _track(
    stack: cdk.Stack, logical: str, target: scaling.CfnScalableTarget, metric: Mapping[str, Any], value: float
) -> None:
    scaling.CfnScalingPolicy(
        stack, logical, policy_name=logical, policy_type="TargetTrackingScaling", scaling_target_id=target.ref,
        target_tracking_scaling_policy_configuration={
            **metric, "targetValue": value, "scaleOutCooldown": OUT_S, "scaleInCooldown": IN_S,
        },
    )  # fmt: skip


def _per_task(place: Place, role_: str, metric: str, statistic: str, expression: str) -> dict[str, Any]:
    """A metric of all tasks of a role over their number."""
    place_ = [{"name": "region", "value": place.name}]
    own = {"namespace": f"Fleetlake/{role_}", "metricName": PREFIXES[role_] + metric, "dimensions": place_}
    tasks = {
        "namespace": "ECS/ContainerInsights", "metricName": "RunningTaskCount",
        "dimensions": [
            {"name": "ClusterName", "value": f"fleetlake-{place.name}"}, {"name": "ServiceName", "value": role_},
        ],
    }  # fmt: skip
    queries = [
        {"id": "sum", "metricStat": {"metric": own, "stat": statistic}, "returnData": False},
        {"id": "tasks", "metricStat": {"metric": tasks, "stat": "Average"}, "returnData": False},
        {"id": "each", "expression": expression, "label": f"{metric} of one task", "returnData": True},
    ]
    return {"customizedMetricSpecification": {"metrics": queries}}


def _consumer(stack: cdk.Stack, place: Place) -> None:
    """Records a second of one worker; and workers by steps where the lag says that it was not enough."""
    sizes = place.deployment.consumer
    target = _target(stack, place, "consumer", sizes.tasks)
    read = _per_task(place, CONSUMER, "user_records_total", "Sum", "sum / 60 / tasks")
    _track(stack, "ConsumerByRecords", target, read, sizes.records_s)
    steps = scaling.CfnScalingPolicy(
        stack, "ConsumerByLag", policy_name="ConsumerByLag", policy_type="StepScaling", scaling_target_id=target.ref,
        step_scaling_policy_configuration={
            "adjustmentType": "PercentChangeInCapacity", "cooldown": 120, "metricAggregationType": "Maximum",
            "minAdjustmentMagnitude": 2,
            "stepAdjustments": [
                {"metricIntervalLowerBound": 0, "metricIntervalUpperBound": sizes.lag_s * 4_000,
                 "scalingAdjustment": 25},
                {"metricIntervalLowerBound": sizes.lag_s * 4_000, "scalingAdjustment": 100},
            ],
        },
    )  # fmt: skip
    cloudwatch.CfnAlarm(
        stack, "ConsumerBehind", alarm_name=f"fleetlake-{place.name}-consumer-behind",
        alarm_description="adds workers; tells nobody", namespace=f"Fleetlake/{CONSUMER}",
        metric_name=f"{PREFIXES[CONSUMER]}lag_ms", dimensions=[{"name": "region", "value": place.name}],
        statistic="Maximum", period=60, evaluation_periods=2, threshold=sizes.lag_s * 1_000,
        comparison_operator="GreaterThanThreshold", treat_missing_data="missing", alarm_actions=[steps.ref],
    )  # fmt: skip


def _gateway(stack: cdk.Stack, place: Place) -> None:
    """Connections of one task, and its processor: a storm of handshakes costs more than what stays connected."""
    sizes = place.deployment.gateway
    target = _target(stack, place, "gateway", sizes.tasks)
    held = _per_task(place, GATEWAY, "connections", "Sum", "sum / 2 / tasks")
    _track(stack, "GatewayByConnections", target, held, sizes.connections)
    cpu = {"predefinedMetricSpecification": {"predefinedMetricType": "ECSServiceAverageCPUUtilization"}}
    _track(stack, "GatewayByCpu", target, cpu, 60)


def _serving(stack: cdk.Stack, place: Place) -> None:
    """Requests of one task, and its processor."""
    sizes = place.deployment.serving
    target = _target(stack, place, "serving", sizes.tasks)
    cpu = {"predefinedMetricSpecification": {"predefinedMetricType": "ECSServiceAverageCPUUtilization"}}
    _track(stack, "ServingByCpu", target, cpu, 60)
    balancer = {"namespace": "AWS/ApplicationELB", "metricName": "RequestCountPerTarget", "statistic": "Sum"}
    label = cdk.Fn.import_value(f"fleetlake-{place.name}-api-target")
    where = {"dimensions": [{"name": "TargetGroup", "value": label}]}
    _track(stack, "ServingByRequests", target, {"customizedMetricSpecification": balancer | where},
           sizes.requests_s * 60)  # fmt: skip


def _shards(stack: cdk.Stack, place: Place) -> None:
    """Twice as many shards by day as by night, by the region's own clock; more than that is a setting."""
    chosen, region = place.deployment.stream, place.jurisdiction
    may = document(allow("Reshard", ["kinesis:UpdateShardCount"], stream_arn(place)))
    runner = role(stack, "shards", place, service="scheduler.amazonaws.com", policies={"reshard": may})
    times = {
        "Day": (chosen.day_from, place.deployment.day_shards(region)),
        "Night": (chosen.night_from, place.deployment.night_shards(region)),
    }
    for name, (at, shards) in times.items():
        hour, minute = at.split(":")
        scheduler.CfnSchedule(
            stack, f"{name}Shards", name=f"fleetlake-{place.name}-{name.lower()}-shards",
            schedule_expression=f"cron({int(minute)} {int(hour)} * * ? *)",
            schedule_expression_timezone=region.time_zone, flexible_time_window={"mode": "OFF"},
            target={
                "arn": "arn:aws:scheduler:::aws-sdk:kinesis:updateShardCount", "roleArn": runner.attr_arn,
                "input": cdk.Stack.of(stack).to_json_string({
                    "StreamName": names.stream(place.name), "TargetShardCount": shards,
                    "ScalingType": "UNIFORM_SCALING",
                }),
                "retryPolicy": {"maximumRetryAttempts": 10, "maximumEventAgeInSeconds": 3600},
            },
        )  # fmt: skip
