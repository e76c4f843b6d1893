"""Templates of a deployment, synthesised once, and an AWS of a test's own that makes them, policies enforced."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from contracts.ports import HOST, free_port
from deploy.assembly import Template, synthesise_into
from deploy.assembly import deploy_python as _deploy_python
from deploy.deployment import default_file
from deploy.emulated import fitting
from tests.builders.stack import eventually

ACCOUNT = "000000000000"
ROOT_KEYS = ("AKIAROOTOFTESTS00000", "root-secret-of-a-test")
TEMPLATES = "templates-of-a-test"
ORDER = ("network", "stores", "services", "scaling", "watch")


def with_the_cdk() -> None:
    """Skip where the venv with the CDK is not there."""
    if not os.environ.get("FLEETLAKE_DEPLOY_PYTHON") and not _default_python().exists():
        pytest.skip("the CDK is not installed: 'make deploy-venv' makes the venv that it is in")


def _default_python() -> Path:
    return Path(__file__).resolve().parents[2] / ".venv-deploy" / "bin" / "python"


def synthesised(folder: Path, regions: str, *, as_it_is: bool = False) -> tuple[list[Template], dict[str, str]]:
    """The templates of these regions, all in the emulator's account; and the variables that name both files.

    as_it_is: the deployment of the example, accounts and shards too.
    """
    with_the_cdk()
    _deploy_python()
    table, chosen = folder / "regions.toml", folder / "deployment.toml"
    table.write_text(regions, encoding="utf-8")
    text = default_file().read_text(encoding="utf-8")
    if not as_it_is:
        text = text.replace("day_shards = 40", "day_shards = 2")
        for number in range(1, 7):
            text = text.replace(f"10000000000{number}", ACCOUNT)
    chosen.write_text(text, encoding="utf-8")
    named = {"FLEETLAKE_REGIONS_FILE": str(table), "FLEETLAKE_DEPLOYMENT_FILE": str(chosen)}
    return synthesise_into(folder / "out", named), named


@dataclass
class EmulatedAws:
    """ministack with every service of its own, which checks signatures and enforces policies."""

    port: int
    made: dict[str, list[str]] = field(default_factory=dict)
    """Logical ids of each stack that were made."""
    left_out: dict[str, list[str]] = field(default_factory=dict)
    keys: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    """Keys that stand for a role, by place and role."""

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"

    def client(self, service: str, aws_region: str, keys: Sequence[str] = ROOT_KEYS) -> Any:
        """A client of it, as root unless keys are given."""
        return boto3.client(
            service, region_name=aws_region, endpoint_url=self.endpoint, aws_access_key_id=keys[0],
            aws_secret_access_key=keys[1],
            config=Config(retries={"total_max_attempts": 1}, read_timeout=60, s3={"addressing_style": "path"}),
        )  # fmt: skip

    def make(self, template: Template) -> None:
        """Create the stack by CloudFormation, without what the emulator cannot make."""
        body, left = fitting(template.body)
        cloudformation = self.client("cloudformation", template.aws_region)
        # A template of this size is taken from a bucket alone, as on AWS.
        s3, key = self.client("s3", template.aws_region), f"{template.stack}.json"
        if not any(bucket["Name"] == TEMPLATES for bucket in s3.list_buckets()["Buckets"]):
            s3.create_bucket(Bucket=TEMPLATES, CreateBucketConfiguration={"LocationConstraint": template.aws_region})
        s3.put_object(Bucket=TEMPLATES, Key=key, Body=json.dumps(body).encode())
        cloudformation.create_stack(
            StackName=template.stack, TemplateURL=f"{self.endpoint}/{TEMPLATES}/{key}",
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while (status := self._status(cloudformation, template.stack)).endswith("IN_PROGRESS"):
            assert time.monotonic() < deadline, status
            time.sleep(0.1)
        events = cloudformation.describe_stack_events(StackName=template.stack)["StackEvents"]
        reasons = [event.get("ResourceStatusReason") for event in events if "FAILED" in event["ResourceStatus"]]
        assert status == "CREATE_COMPLETE", reasons
        summaries = cloudformation.list_stack_resources(StackName=template.stack)["StackResourceSummaries"]
        self.made[template.stack] = [one["LogicalResourceId"] for one in summaries]
        self.left_out[template.stack] = left

    def _status(self, cloudformation: Any, stack: str) -> str:
        return str(cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])

    def keys_of(self, place: str, role: str) -> tuple[str, str]:
        """Keys of a user with exactly the policies and the tags of a role that CloudFormation made.

        The role itself trusts ECS alone, and the emulator enforces that too.
        """
        if (place, role) in self.keys:
            return self.keys[place, role]
        iam, name, user = self.client("iam", "us-east-1"), f"fleetlake-{place}-{role}", f"as-{place}-{role}"
        tags = iam.list_role_tags(RoleName=name)["Tags"]
        iam.create_user(UserName=user, Tags=tags)
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            iam.put_user_policy(UserName=user, PolicyName=policy, PolicyDocument=json.dumps(document))
        made = iam.create_access_key(UserName=user)["AccessKey"]
        self.keys[place, role] = made["AccessKeyId"], made["SecretAccessKey"]
        return self.keys[place, role]

    def environment_of(self, place: str, service: str, aws_region: str) -> dict[str, str]:
        """The variables of a task definition that CloudFormation made."""
        ecs = self.client("ecs", aws_region)
        found = ecs.describe_task_definition(taskDefinition=f"fleetlake-{place}-{service}")["taskDefinition"]
        return {pair["name"]: pair["value"] for pair in found["containerDefinitions"][0]["environment"]}


@contextmanager
def emulated_aws(folder: Path) -> Iterator[EmulatedAws]:
    """An emulator in a folder of its own."""
    folder.mkdir()
    port = free_port()
    environment = {
        "PATH": "/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder), "GATEWAY_PORT": str(port),
        "BIND_HOST": HOST, "AUTH": "true", "AWS_ACCESS_KEY_ID": ROOT_KEYS[0], "AWS_SECRET_ACCESS_KEY": ROOT_KEYS[1],
        "IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0", "DOCKER_HOST": f"unix://{folder / 'no-docker.sock'}",
        "LOG_LEVEL": "WARNING",
    }  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"], cwd=folder, env=environment, stdout=log, stderr=log
        )
    found = EmulatedAws(port)
    try:
        eventually(lambda: _answers(found), 90)
        yield found
    finally:
        process.kill()
        process.wait()


def _answers(aws: EmulatedAws) -> bool:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        aws.client("sts", "us-east-1").get_caller_identity()
    except (BotoCoreError, ClientError):
        return False
    return True


def stores_of(aws: EmulatedAws, keys: Sequence[str]) -> Mapping[str, str]:
    """Where Kinesis, DynamoDB and S3 are, and who asks: what the task's role is on AWS."""
    found = {}
    for service in ("KINESIS", "DYNAMODB", "S3"):
        found |= {
            f"FLEETLAKE_{service}_ENDPOINT": aws.endpoint,
            f"FLEETLAKE_{service}_ACCESS_KEY": keys[0],
            f"FLEETLAKE_{service}_SECRET_KEY": keys[1],
        }
    return found
