"""Alarms and dashboard of a region, budgets, and the task that looks at the marts."""

import json
from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sns as sns

from deploy.alarms import ALARMS, CONSUMER, PREFIXES, RUNBOOK, WATCH, Alarm, watched
from deploy.environment import SECRETS
from deploy.stacks.kit import Place, allow, document, key_arn, role, subnets
from deploy.stacks.network import group
from deploy.stacks.services import add_watch

WATCH_MINUTES = 5


def add_watching(place: Place, given: Mapping[str, str]) -> cdk.Stack:
    """The stack `watch` of a region. given: the settings of its processes."""
    stack = place.stack("watch", "alarms, dashboard, watch")
    topics = {severity: _topic(stack, place, severity) for severity in ("page", "ticket")}
    for alarm in ALARMS:
        _alarm(stack, place, alarm, topics[alarm.severity])
    _dashboard(stack, place)
    task = add_watch(stack, place, given, {"FLEETLAKE_POSTGRES_DSN": SECRETS["FLEETLAKE_POSTGRES_DSN"],
                                           "FLEETLAKE_PRIVACY_DSN": SECRETS["FLEETLAKE_PRIVACY_DSN"]})  # fmt: skip
    _every_few_minutes(stack, place, task)
    return stack


def _topic(stack: cdk.Stack, place: Place, severity: str) -> sns.CfnTopic:
    topic = sns.CfnTopic(
        stack, f"{severity.title()}s", topic_name=f"fleetlake-{place.name}-{severity}",
        kms_master_key_id=key_arn(place),
    )  # fmt: skip
    sns.CfnSubscription(
        stack, f"{severity.title()}Mail", topic_arn=topic.ref, protocol="email", endpoint=place.deployment.alerts
    )
    publish = {
        "Sid": "AlarmsOfThisAccount", "Effect": "Allow", "Action": "sns:Publish", "Resource": topic.ref,
        "Principal": {"Service": ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"]},
        "Condition": {"StringEquals": {"aws:SourceAccount": place.account}},
    }  # fmt: skip
    encrypted = {
        "Sid": "TlsOnly", "Effect": "Deny", "Action": "sns:Publish", "Resource": topic.ref, "Principal": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }  # fmt: skip
    sns.CfnTopicPolicy(
        stack, f"{severity.title()}Policy", topics=[topic.ref],
        policy_document={"Version": "2012-10-17", "Statement": [publish, encrypted]},
    )  # fmt: skip
    return topic


def _alarm(stack: cdk.Stack, place: Place, alarm: Alarm, topic: sns.CfnTopic) -> None:
    statistic = {"extended_statistic": "p99"} if alarm.statistic == "p99" else {"statistic": alarm.statistic}
    cloudwatch.CfnAlarm(
        stack, "".join(part.title() for part in alarm.name.split("-")),
        alarm_name=f"fleetlake-{place.name}-{alarm.name}", namespace=f"Fleetlake/{alarm.role}",
        alarm_description=f"{alarm.means}. What to do: {RUNBOOK}#{alarm.name}", metric_name=alarm.full_metric,
        dimensions=[{"name": "region", "value": place.name}], period=60, evaluation_periods=alarm.minutes,
        threshold=alarm.above, comparison_operator="GreaterThanThreshold", alarm_actions=[topic.ref],
        ok_actions=[topic.ref], treat_missing_data="breaching" if alarm.silent_is_bad else "notBreaching", **statistic,
    )  # fmt: skip


def _dashboard(stack: cdk.Stack, place: Place) -> None:
    """One graph a metric that an alarm reads, with the alarm's line in it."""
    widgets = [_widget(place, number, alarm) for number, alarm in enumerate(ALARMS)]
    widgets += [
        _graph(place, len(widgets) + number, CONSUMER, name, "Sum", None)
        for number, name in enumerate(n for n in watched(CONSUMER) if n.endswith(("_total", "_worker")))
    ]
    body = json.dumps({"widgets": widgets})
    cloudwatch.CfnDashboard(stack, "Board", dashboard_name=f"fleetlake-{place.name}", dashboard_body=body)


def _widget(place: Place, number: int, alarm: Alarm) -> dict[str, Any]:
    line = {"horizontal": [{"value": alarm.above, "label": alarm.name}]}
    return _graph(place, number, alarm.role, alarm.full_metric, alarm.statistic, line)


def _graph(
    place: Place, number: int, role_: str, metric: str, statistic: str, line: Mapping[str, Any] | None
) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "region": place.aws_region, "title": metric.removeprefix(PREFIXES[role_]), "stat": statistic, "period": 60,
        "metrics": [[f"Fleetlake/{role_}", metric, "region", place.name]],
    }  # fmt: skip
    if line:
        properties["annotations"] = dict(line)
    place_ = {"x": 8 * (number % 3), "y": 6 * (number // 3), "width": 8, "height": 6}
    return {"type": "metric", **place_, "properties": properties}


def add_budget(stack: cdk.Stack, place: Place, of: str, dollars: int) -> None:
    """Somebody is told at four fifths of the month's money of an account, and when the forecast is beyond it.

    Some regions of AWS know no budgets, so all of them are of the account that the others' bills go to.
    """
    subscribers = [{"subscriptionType": "EMAIL", "address": place.deployment.alerts}]
    rules = (("ACTUAL", 80), ("FORECASTED", 100))
    told = [
        {
            "notification": {"notificationType": kind, "comparisonOperator": "GREATER_THAN", "threshold": share,
                             "thresholdType": "PERCENTAGE"},
            "subscribers": subscribers,
        }
        for kind, share in rules
    ]  # fmt: skip
    budgets.CfnBudget(
        stack, f"{of.title()}Budget", notifications_with_subscribers=told,
        budget={"budgetName": f"fleetlake-{of}", "budgetType": "COST", "timeUnit": "MONTHLY",
                "budgetLimit": {"amount": dollars, "unit": "USD"},
                "costFilters": {"LinkedAccount": [place.deployment.account(of)]}},
    )  # fmt: skip


def _every_few_minutes(stack: cdk.Stack, place: Place, task: str) -> None:
    own = f"arn:aws:iam::{place.account}:role/fleetlake-{place.name}-{WATCH}"
    to_tasks = {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
    may = document(
        allow("RunWatch", ["ecs:RunTask"], place.arn("ecs", f"task-definition/fleetlake-{place.name}-{WATCH}:*")),
        allow("ItsRoles", ["iam:PassRole"], [own, f"{own}-start"], **to_tasks),
    )
    runner = role(stack, "watch-clock", place, service="scheduler.amazonaws.com", policies={"run": may})
    network = {"assignPublicIp": "DISABLED", "subnets": subnets(place, "private"),
               "securityGroups": [group(place, "orchestration")]}  # fmt: skip
    scheduler.CfnSchedule(
        stack, "WatchClock", name=f"fleetlake-{place.name}-watch", flexible_time_window={"mode": "OFF"},
        schedule_expression=f"rate({WATCH_MINUTES} minutes)",
        target={
            "arn": place.arn("ecs", f"cluster/fleetlake-{place.name}"), "roleArn": runner.attr_arn,
            "ecsParameters": {"taskDefinitionArn": task, "launchType": "FARGATE", "taskCount": 1,
                              "networkConfiguration": {"awsvpcConfiguration": network}},
        },
    )  # fmt: skip
