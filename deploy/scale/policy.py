"""A service's scaling as the synthesised template has it: limits, target, steps, cooldowns."""

from collections.abc import Sequence
from typing import Any

import msgspec

from contracts.errors import FleetlakeError
from deploy.assembly import Resource, Template

_TARGETS = "AWS::ApplicationAutoScaling::ScalableTarget"
_POLICIES = "AWS::ApplicationAutoScaling::ScalingPolicy"


class NoPolicy(FleetlakeError):
    """The template does not say how the service scales."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """From so far above the alarm's threshold, so many percent more."""

    above: float
    percent: float


class Scaling(msgspec.Struct, frozen=True, kw_only=True):
    """How one service scales, and the shards it works on."""

    fewest: int
    most: int
    target: float
    """The tracked figure of one task."""
    out_cooldown_s: float
    in_cooldown_s: float
    steps: tuple[Step, ...]
    least_step: int
    step_cooldown_s: float
    alarm_ms: float
    alarm_minutes: int
    cores: float
    memory_gb: float
    shards: int


def consumer_scaling(templates: Sequence[Template], region: str) -> Scaling:
    """How the region's consumer scales. Raises NoPolicy where the template does not say it."""
    own = [template for template in templates if template.place == region]
    target = _one(own, _TARGETS, lambda one: str(one.properties["ResourceId"]).endswith("/consumer"))
    policies = [one for one in _all(own, _POLICIES) if one.properties["ScalingTargetId"] == {"Ref": target.logical}]
    tracking = _kind(policies, "TargetTrackingScaling", "TargetTrackingScalingPolicyConfiguration")
    stepping = _kind(policies, "StepScaling", "StepScalingPolicyConfiguration")
    alarm = _one(own, "AWS::CloudWatch::Alarm", lambda one: one.logical == "ConsumerBehind").properties
    task = _one(own, "AWS::ECS::TaskDefinition", lambda one: one.properties["Family"].endswith("-consumer")).properties
    stream = _one(own, "AWS::Kinesis::Stream", lambda _: True).properties
    steps = [
        Step(above=float(step.get("MetricIntervalLowerBound", 0)), percent=float(step["ScalingAdjustment"]))
        for step in stepping["StepAdjustments"]
    ]
    return Scaling(
        fewest=target.properties["MinCapacity"], most=target.properties["MaxCapacity"],
        target=float(tracking["TargetValue"]), out_cooldown_s=float(tracking["ScaleOutCooldown"]),
        in_cooldown_s=float(tracking["ScaleInCooldown"]), steps=tuple(sorted(steps, key=lambda step: step.above)),
        least_step=int(stepping["MinAdjustmentMagnitude"]), step_cooldown_s=float(stepping["Cooldown"]),
        alarm_ms=float(alarm["Threshold"]), alarm_minutes=int(alarm["EvaluationPeriods"]),
        cores=int(task["Cpu"]) / 1024, memory_gb=int(task["Memory"]) / 1024, shards=int(stream.get("ShardCount", 0)),
    )  # fmt: skip


def _all(own: Sequence[Template], kind: str) -> list[Resource]:
    return [resource for template in own for resource in template.resources(kind)]


def _one(own: Sequence[Template], kind: str, wanted: Any) -> Resource:
    found = [resource for resource in _all(own, kind) if wanted(resource)]
    if len(found) != 1:
        raise NoPolicy(f"{len(found)} resources of {kind} in the template are the consumer's; there must be one")
    return found[0]


def _kind(policies: Sequence[Resource], kind: str, part: str) -> dict[str, Any]:
    found = [one.properties[part] for one in policies if one.properties["PolicyType"] == kind]
    if len(found) != 1:
        raise NoPolicy(f"the consumer has {len(found)} policies of {kind}; it must have one")
    return dict(found[0])
