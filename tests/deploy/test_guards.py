"""Guards refuse what a deployment must not have; the proof refuses what crosses. On small templates."""

from typing import Any

import pytest

from contracts.regions import Region
from deploy.assembly import Template
from deploy.deployment import Deployment, load_deployment
from deploy.guards import default_regions, grants_of_everything, long_backups, lost_stores
from deploy.proof import Crossing, prove_apart

EXCHANGE = "arn:aws:s3:::fleetlake-exchange-100000000005"


def region(name: str, aws_region: str) -> Region:
    return Region(
        name=name, aws_region=aws_region, time_zone="UTC", legal_regime="-", retention_days=1, stream_shards=1,
        history_buckets=1,
    )  # fmt: skip


REGIONS = {"eu": region("eu", "eu-central-1"), "us": region("us", "us-east-2")}


@pytest.fixture
def deployment() -> Deployment:
    return load_deployment()


def template(resources: dict[str, Any], place: str = "eu", aws_region: str = "eu-central-1") -> Template:
    account = {"eu": "100000000001", "us": "100000000002", "world": "100000000005"}[place]
    return Template(
        stack=f"fleetlake-{place}-x", place=place, account=account, aws_region=aws_region,
        body={"Resources": resources},
    )  # fmt: skip


def role(statement: dict[str, Any]) -> dict[str, Any]:
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}
    return {"Role": {"Type": "AWS::IAM::Role", "Properties": {"Policies": [{"PolicyDocument": document}]}}}


@pytest.mark.parametrize("kept", [{}, {"DeletionPolicy": "Retain"}, {"UpdateReplacePolicy": "Retain"}])
def test_a_store_that_may_be_lost_is_refused(kept: dict[str, str]) -> None:
    assert list(lost_stores([template({"Lake": {"Type": "AWS::S3::Bucket", **kept}})]))


def test_a_store_that_is_kept_is_not_refused() -> None:
    kept = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
    assert not list(lost_stores([template({"Lake": {"Type": "AWS::S3::Bucket", **kept}})]))


@pytest.mark.parametrize(
    "statement",
    [
        {"Sid": "Any", "Action": "s3:*", "Resource": "arn:aws:s3:::x"},
        {"Sid": "Any", "Action": ["*"], "Resource": "arn:aws:s3:::x"},
        {"Sid": "Any", "Action": ["s3:GetObject"], "Resource": "*"},
        {"Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::x", "*"]},
    ],
)
def test_a_grant_of_everything_is_refused(statement: dict[str, Any]) -> None:
    assert list(grants_of_everything([template(role(statement))]))


def test_a_grant_that_has_no_narrower_word_passes_by_its_name() -> None:
    told = {"Sid": "Registry", "Action": ["ecr:GetAuthorizationToken"], "Resource": "*"}
    assert not list(grants_of_everything([template(role(told))]))


def test_a_stack_or_a_task_in_another_region_of_aws_is_refused(deployment: Deployment) -> None:
    container = {"Name": "gateway", "Environment": [{"Name": "AWS_REGION", "Value": "us-east-1"}]}
    task = {"Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [container]}}}
    assert list(default_regions([template(task)], REGIONS, deployment))
    assert list(default_regions([template({}, aws_region="us-east-1")], REGIONS, deployment))


@pytest.mark.parametrize("days", [0, 31, 365])
def test_a_backup_that_outlives_an_erasure_or_is_none_is_refused(days: int) -> None:
    database = {"Type": "AWS::RDS::DBInstance", "Properties": {"BackupRetentionPeriod": days}}
    assert list(long_backups([template({"Db": database})]))


@pytest.mark.parametrize(
    "resources",
    [
        {"Peer": {"Type": "AWS::EC2::VPCPeeringConnection", "Properties": {}}},
        {"T": {"Type": "AWS::DynamoDB::GlobalTable", "Properties": {}}},
        {"B": {"Type": "AWS::S3::Bucket", "Properties": {"ReplicationConfiguration": {"Role": "x"}}}},
        {"T": {"Type": "AWS::SNS::Topic", "Properties": {"Name": {"Fn::ImportValue": "fleetlake-us-key"}}}},
        role({"Action": ["s3:GetObject"], "Resource": "arn:aws:s3:::fleetlake-lake-us-100000000002/*"}),
        role({"Action": ["kinesis:GetRecords"], "Resource": "arn:aws:kinesis:us-east-2:100000000001:stream/x"}),
        role({"Action": ["sts:AssumeRole"], "Resource": "arn:aws:iam::100000000002:role/anything"}),
        role({"Action": ["s3:GetObject"], "Resource": f"{EXCHANGE}/region=us/*"}),
        role({"Action": ["s3:GetObject"], "Resource": f"{EXCHANGE}/*"}),
        role({"Action": ["s3:ListBucket"], "Resource": EXCHANGE}),
        role({"Action": ["s3:DeleteObject"], "Resource": f"{EXCHANGE}/region=eu/*"}),
    ],
)
def test_whatever_lets_one_region_reach_another_is_found(resources: dict[str, Any], deployment: Deployment) -> None:
    with pytest.raises(Crossing):
        prove_apart([template(resources)], REGIONS, deployment)


def test_the_own_prefix_of_the_exchange_is_all_that_crosses(deployment: Deployment) -> None:
    own = role({"Sid": "Own", "Action": ["s3:PutObject"], "Resource": f"{EXCHANGE}/region=eu/*"})
    proof = prove_apart([template(own), template({}, "us", "us-east-2")], REGIONS, deployment)
    assert (proof.grants, proof.exchange_grants, proof.pairs) == (1, 1, 2)


def test_the_world_may_not_let_a_region_read_another_s_releases(deployment: Deployment) -> None:
    who = {"AWS": "arn:aws:iam::100000000001:role/fleetlake-eu-code"}
    statement = {"Sid": "X", "Effect": "Allow", "Principal": who, "Action": ["s3:GetObject"]}
    for resource in (f"{EXCHANGE}/region=us/*", f"{EXCHANGE}/*"):
        document = {"Statement": [statement | {"Resource": resource}]}
        policy = {"Policy": {"Type": "AWS::S3::BucketPolicy", "Properties": {"PolicyDocument": document}}}
        with pytest.raises(Crossing):
            prove_apart([template(policy, "world")], REGIONS, deployment)
