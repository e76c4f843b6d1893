"""A template as far as an emulator of CloudFormation can make it: what it refuses is left out, with what needs that."""

import json
from collections.abc import Mapping
from typing import Any

REFUSED = (
    "AWS::ApplicationAutoScaling::", "AWS::EC2::EIP", "AWS::EC2::NatGateway", "AWS::EC2::FlowLog", "AWS::Budgets::",
    "AWS::WAFv2::WebACLAssociation", "AWS::EMRServerless::", "AWS::Route53::HealthCheck",
    "AWS::SecretsManager::RotationSchedule",
)  # fmt: skip
"""Types that ministack does not make."""
NAMED = ("AWS::EMRServerless::",)
"""Of those, the ones that others only name: the name stands for them."""
TLS = "TlsOnly"
DOCKER = ("AWS::RDS::DBInstance", "AWS::ElastiCache::ReplicationGroup", "AWS::Lambda::Function", "AWS::ECS::Service")
"""Types that it makes by starting a container, which needs a container engine."""


def fitting(body: Mapping[str, Any], *, docker: bool = False) -> tuple[dict[str, Any], list[str]]:
    """The template without what cannot be made, and the logical ids that are left out.

    Outputs stay: where one named what is left out, it has the name of it as its value.
    """
    whole: dict[str, Any] = json.loads(json.dumps(body))
    resources = whole["Resources"]
    kinds = REFUSED if docker else (*REFUSED, *DOCKER)
    left = [name for name, found in resources.items() if found["Type"].startswith(kinds)]
    named = {name for name in left if resources[name]["Type"].startswith(NAMED)}
    whole = {key: _by_name(value, named) for key, value in whole.items()}
    resources = whole["Resources"]
    pending = set(left)
    while pending:
        for name in pending:
            resources.pop(name, None)
        pending = {name for name, found in resources.items() if _needs(found, left)}
        left += sorted(pending)
    for name, found in resources.items():
        resources[name] = _without_tls(found)
    whole["Outputs"] = {name: _known(found, left) for name, found in whole.get("Outputs", {}).items()}
    return whole, left


def _without_tls(value: Any) -> Any:
    """The value without the statements that refuse what comes without TLS: the emulator speaks none."""
    if isinstance(value, Mapping):
        return {key: _without_tls(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_tls(inner) for inner in value if not (isinstance(inner, Mapping) and inner.get("Sid") == TLS)]
    return value


def _needs(value: Any, left: list[str]) -> bool:
    return any(named in left for named in _named(value))


def _named(value: Any) -> list[str]:
    """Logical ids that a value refers to, by Ref, GetAtt or DependsOn."""
    if isinstance(value, Mapping):
        found = [value["Ref"]] if isinstance(value.get("Ref"), str) else []
        if "Fn::GetAtt" in value:
            found.append(value["Fn::GetAtt"][0])
        depends = value.get("DependsOn", [])
        found += [depends] if isinstance(depends, str) else list(depends)
        return found + [name for inner in value.values() for name in _named(inner)]
    return [name for inner in value for name in _named(inner)] if isinstance(value, list) else []


def _by_name(value: Any, named: set[str]) -> Any:
    """The value with the name of these resources where it refers to them."""
    if isinstance(value, Mapping):
        if value.get("Ref") in named:
            return value["Ref"]
        if isinstance(value.get("Fn::GetAtt"), list) and value["Fn::GetAtt"][0] in named:
            return value["Fn::GetAtt"][0]
        return {key: _by_name(inner, named) for key, inner in value.items()}
    return [_by_name(inner, named) for inner in value] if isinstance(value, list) else value


def _known(output: Mapping[str, Any], left: list[str]) -> dict[str, Any]:
    absent = next((name for name in _named(output) if name in left), None)
    return {**output, "Value": absent} if absent else dict(output)
