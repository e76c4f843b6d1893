"""What every stack uses: where it is, roles from documents of policy, log groups, secrets by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs

from contracts.regions import Region
from deploy.deployment import Deployment

ZONES = "abc"
LOG_DAYS = 14
LAMBDA = "lambda.amazonaws.com"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where stacks are: a region, `world` or `network`; and what the whole deployment chose."""

    app: cdk.App
    deployment: Deployment
    name: str
    aws_region: str
    region: Region | None = None

    @property
    def account(self) -> str:
        """The account of the place."""
        return self.deployment.account(self.name)

    @property
    def jurisdiction(self) -> Region:
        """The region of a region's place."""
        if self.region is None:
            raise TypeError(f"{self.name} is no region")
        return self.region

    @property
    def zones(self) -> list[str]:
        """Availability zones, named so that a synthesis asks no account."""
        return [self.aws_region + letter for letter in ZONES]

    def stack(self, part: str, description: str) -> cdk.Stack:
        """A stack of the place, in its account and its region of AWS, with tags that say whose it is."""
        name = f"fleetlake-{self.name}-{part}"
        made = cdk.Stack(
            self.app, name, stack_name=name, description=f"Fleetlake {self.name}: {description}",
            env=cdk.Environment(account=self.account, region=self.aws_region), termination_protection=True,
            synthesizer=cdk.DefaultStackSynthesizer(generate_bootstrap_version_rule=False),
        )  # fmt: skip
        for key, value in {"system": "fleetlake", "fleetlake-region": self.name, "fleetlake-part": part}.items():
            cdk.Tags.of(made).add(key, value)
        return made

    def arn(self, service: str, rest: str) -> str:
        """An ARN of this place."""
        return f"arn:aws:{service}:{self.aws_region}:{self.account}:{rest}"


def keep(resource: cdk.CfnResource) -> cdk.CfnResource:
    """A store outlives its stack, and its replacement."""
    resource.cfn_options.deletion_policy = cdk.CfnDeletionPolicy.RETAIN
    resource.cfn_options.update_replace_policy = cdk.CfnDeletionPolicy.RETAIN
    return resource


def role(
    stack: cdk.Stack, name: str, place: Place, *, service: str, policies: Mapping[str, Mapping[str, Any]],
) -> iam.CfnRole:  # fmt: skip
    """A role that one service of AWS assumes, for this account alone, tagged with its region."""
    # Lambda names no account when it assumes a function's role.
    here = {"Condition": {"StringEquals": {"aws:SourceAccount": place.account}}} if service != LAMBDA else {}
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"Service": service},
                **here,
            }
        ],
    }
    inline = [{"policyName": key, "policyDocument": document} for key, document in policies.items()]
    # The account has one place: names need no region of AWS in them.
    return iam.CfnRole(
        stack, f"{name.title().replace('-', '')}Role", role_name=f"fleetlake-{place.name}-{name}",
        assume_role_policy_document=trust, policies=inline, max_session_duration=3600,
    )  # fmt: skip


def document(*statements: Mapping[str, Any]) -> dict[str, Any]:
    """A policy of these statements."""
    return {"Version": "2012-10-17", "Statement": [dict(statement) for statement in statements]}


def allow(sid: str, actions: Sequence[str], resources: Sequence[str] | str, **condition: Any) -> dict[str, Any]:
    """One statement."""
    found: dict[str, Any] = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": resources}
    return found | ({"Condition": condition} if condition else {})


def log_group(stack: cdk.Stack, place: Place, name: str) -> logs.CfnLogGroup:
    """Logs of one process. They may quote a record, so they stay in the account and end after two weeks."""
    group = logs.CfnLogGroup(
        stack, f"{name.title().replace('-', '')}Log", log_group_name=f"/fleetlake/{place.name}/{name}",
        retention_in_days=LOG_DAYS, kms_key_id=key_arn(place),
    )  # fmt: skip
    group.cfn_options.deletion_policy = cdk.CfnDeletionPolicy.DELETE
    return group


def key_arn(place: Place) -> str:
    """The place's own key, as its network stack exports it."""
    return str(cdk.Fn.import_value(f"fleetlake-{place.name}-key"))


def make_key(stack: cdk.Stack, place: Place) -> kms.CfnKey:
    """The key of everything at rest, rotated each year."""
    services = {
        "Service": [f"logs.{place.aws_region}.amazonaws.com", "cloudwatch.amazonaws.com", "budgets.amazonaws.com"]
    }
    use = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
    here = {"StringEquals": {"aws:SourceAccount": place.account}}
    statements: list[dict[str, Any]] = [
        {
            "Sid": "AccountAdministers", "Effect": "Allow", "Action": "kms:*", "Resource": "*",
            "Principal": {"AWS": f"arn:aws:iam::{place.account}:root"},
        },
        {
            "Sid": "LogsAndAlarms", "Effect": "Allow", "Action": use, "Resource": "*", "Principal": services,
            "Condition": here,
        },
    ]  # fmt: skip
    key = kms.CfnKey(
        stack, "Key", description=f"Fleetlake {place.name}: all data at rest", enable_key_rotation=True,
        key_policy={"Version": "2012-10-17", "Statement": statements}, pending_window_in_days=30,
    )  # fmt: skip
    keep(key)
    kms.CfnAlias(stack, "KeyAlias", alias_name=f"alias/fleetlake-{place.name}", target_key_id=key.ref)
    cdk.CfnOutput(stack, "KeyArn", value=key.attr_arn, export_name=f"fleetlake-{place.name}-key")
    return key


def export(stack: cdk.Stack, place: Place, name: str, value: str) -> None:
    """A value for the place's other stacks."""
    logical = "".join(part.title() for part in name.split("-"))
    cdk.CfnOutput(stack, f"Out{logical}", value=value, export_name=f"fleetlake-{place.name}-{name}")


def imported(place: Place, name: str) -> str:
    """A value of another stack of the same place. There is no way to name another place's."""
    return str(cdk.Fn.import_value(f"fleetlake-{place.name}-{name}"))


def subnets(place: Place, kind: str) -> list[str]:
    """The place's subnets of a kind: public, private (a way out) or data (none)."""
    return [imported(place, f"{kind}-{letter}") for letter in ZONES]
