"""Where devices and front ends come in: an NLB that passes TCP through, an ALB behind a WAF, names of both."""

from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_wafv2 as waf

from deploy import environment as env
from deploy.stacks.kit import ZONES, Place, export, imported, subnets
from deploy.stacks.network import HTTPS, group

_REQUESTS_5_MIN = 15_000
_RULE_SETS = (
    "AWSManagedRulesCommonRuleSet",
    "AWSManagedRulesKnownBadInputsRuleSet",
    "AWSManagedRulesAmazonIpReputationList",
)


def device_entrance(stack: cdk.Stack, place: Place) -> tuple[elb.CfnTargetGroup, elb.CfnTargetGroup]:
    """NLB on fixed addresses. It drops connections that are silent for 350 s: devices keep alive more often."""
    zone = _zone(stack, place)
    mapping = [
        {"subnetId": imported(place, f"public-{one}"), "allocationId": imported(place, f"address-{one}")}
        for one in ZONES
    ]
    balancer = elb.CfnLoadBalancer(
        stack, "Devices", name=f"fleetlake-{place.name}-devices", type="network", scheme="internet-facing",
        subnet_mappings=mapping, security_groups=[group(place, "front")],
        load_balancer_attributes=_attributes({
            "load_balancing.cross_zone.enabled": "true", "deletion_protection.enabled": "true",
        }),
    )  # fmt: skip
    found = []
    for name, port, outside in (("Mqtt", env.MQTT_PORT, env.MQTT_PORT), ("Http", env.HTTP_PORT, HTTPS)):
        target = elb.CfnTargetGroup(
            stack, f"{name}Target", port=port, protocol="TCP", target_type="ip", vpc_id=imported(place, "vpc"),
            health_check_enabled=True, health_check_protocol="HTTP", health_check_path="/readyz",
            health_check_port=str(env.METRICS_PORT), health_check_interval_seconds=10, healthy_threshold_count=2,
            unhealthy_threshold_count=2,
            target_group_attributes=_attributes({
                "deregistration_delay.timeout_seconds": "60", "preserve_client_ip.enabled": "true",
            }),
        )  # fmt: skip
        elb.CfnListener(
            stack, f"{name}Listener", load_balancer_arn=balancer.ref, port=outside, protocol="TCP",
            default_actions=[{"type": "forward", "targetGroupArn": target.ref}],
        )  # fmt: skip
        found.append(target)
    _name(stack, "DeviceName", zone, f"devices.{_domain(place)}", balancer)
    return found[0], found[1]


def api_entrance(stack: cdk.Stack, place: Place) -> elb.CfnTargetGroup:
    """ALB with a certificate of its own, behind a WAF."""
    zone = cdk.Fn.ref("Zone")
    host = f"api.{_domain(place)}"
    certificate = acm.CfnCertificate(
        stack, "ApiCertificate", domain_name=host, validation_method="DNS",
        domain_validation_options=[{"domainName": host, "hostedZoneId": zone}],
    )  # fmt: skip
    balancer = elb.CfnLoadBalancer(
        stack, "Api", name=f"fleetlake-{place.name}-api", type="application", scheme="internet-facing",
        subnets=subnets(place, "public"), security_groups=[group(place, "web")],
        load_balancer_attributes=_attributes({
            "deletion_protection.enabled": "true", "routing.http.drop_invalid_header_fields.enabled": "true",
            "idle_timeout.timeout_seconds": "120",
        }),
    )  # fmt: skip
    target = elb.CfnTargetGroup(
        stack, "ApiTarget", port=env.SERVING_PORT, protocol="HTTP", target_type="ip", vpc_id=imported(place, "vpc"),
        health_check_enabled=True, health_check_path="/readyz", health_check_interval_seconds=10,
        healthy_threshold_count=2, unhealthy_threshold_count=3,
        target_group_attributes=_attributes({"deregistration_delay.timeout_seconds": "30"}),
    )  # fmt: skip
    elb.CfnListener(
        stack, "ApiListener", load_balancer_arn=balancer.ref, port=HTTPS, protocol="HTTPS",
        certificates=[{"certificateArn": certificate.ref}], ssl_policy="ELBSecurityPolicy-TLS13-1-2-2021-06",
        default_actions=[{"type": "forward", "targetGroupArn": target.ref}],
    )  # fmt: skip
    export(stack, place, "api-target", target.attr_target_group_full_name)
    _firewall(stack, place, balancer)
    _name(stack, "ApiName", zone, host, balancer)
    return target


def _domain(place: Place) -> str:
    return f"{place.name}.{place.deployment.domain}"


def _zone(stack: cdk.Stack, place: Place) -> str:
    """The place's own part of the domain, which the network's zone delegates to it."""
    zone: str = route53.CfnHostedZone(stack, "Zone", name=_domain(place)).ref
    return zone


def _name(stack: cdk.Stack, logical: str, zone: str, name: str, balancer: elb.CfnLoadBalancer) -> None:
    alias = {
        "dnsName": balancer.attr_dns_name, "hostedZoneId": balancer.attr_canonical_hosted_zone_id,
        "evaluateTargetHealth": False,
    }  # fmt: skip
    route53.CfnRecordSet(stack, logical, name=name, type="A", hosted_zone_id=zone, alias_target=alias)


def _firewall(stack: cdk.Stack, place: Place, balancer: elb.CfnLoadBalancer) -> None:
    rules = [_managed(number, name) for number, name in enumerate(_RULE_SETS)]
    limit = {"rateBasedStatement": {"limit": _REQUESTS_5_MIN, "aggregateKeyType": "IP"}}
    rules.append({"name": "rate", "priority": 9, "action": {"block": {}}, "statement": limit, **_seen("rate")})
    acl = waf.CfnWebACL(
        stack, "Firewall", name=f"fleetlake-{place.name}-api", scope="REGIONAL", default_action={"allow": {}},
        rules=rules, visibility_config=_seen("api")["visibilityConfig"],
    )  # fmt: skip
    waf.CfnWebACLAssociation(stack, "Fenced", resource_arn=balancer.ref, web_acl_arn=acl.attr_arn)


def _managed(number: int, name: str) -> dict[str, Any]:
    statement = {"managedRuleGroupStatement": {"vendorName": "AWS", "name": name}}
    return {"name": name, "priority": number, "overrideAction": {"none": {}}, "statement": statement, **_seen(name)}


def _seen(name: str) -> dict[str, Any]:
    return {"visibilityConfig": {"cloudWatchMetricsEnabled": True, "sampledRequestsEnabled": False, "metricName": name}}


def _attributes(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]
