"""A region's stores: stream, leases and ledger, lake, live state, marts, secrets. All of them outlive their stack."""

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_glue as glue
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_s3 as s3

from contracts import names
from contracts.policies.redis_rules import access_string
from contracts.policies.roles import GLUE_DATABASE
from deploy.environment import redis_name
from deploy.stacks.database import add_database
from deploy.stacks.kit import Place, export, imported, keep, key_arn, subnets
from deploy.stacks.network import group
from deploy.stacks.secrets import add_secrets

RETENTION_H = 168
_ENGINE = "valkey"


def add_stores(place: Place) -> cdk.Stack:
    """The stack `stores` of a region."""
    stack = place.stack("stores", "stream, leases, ledger, lake, live state, marts, secrets")
    _stream(stack, place)
    _table(stack, place, names.leases_table(place.name), ("shard_id",))
    _table(stack, place, names.ledger_table(place.name), ("shard_id", "last_seq"))
    _lake(stack, place)
    _live_state(stack, place)
    instance = add_database(stack, place)
    add_secrets(stack, place, instance)
    return stack


def _stream(stack: cdk.Stack, place: Place) -> None:
    chosen = place.deployment.stream
    on_demand = chosen.mode == "on-demand"
    stream = kinesis.CfnStream(
        stack, "Stream", name=names.stream(place.name), retention_period_hours=RETENTION_H,
        stream_mode_details={"streamMode": "ON_DEMAND" if on_demand else "PROVISIONED"},
        shard_count=None if on_demand else place.deployment.day_shards(place.jurisdiction),
        stream_encryption={"encryptionType": "KMS", "keyId": key_arn(place)},
    )  # fmt: skip
    keep(stream)
    export(stack, place, "stream", stream.attr_arn)


def _table(stack: cdk.Stack, place: Place, name: str, key: tuple[str, ...]) -> None:
    kinds = ("HASH", "RANGE")
    keep(
        dynamodb.CfnTable(
            stack, name.title().replace("-", ""), table_name=name, billing_mode="PAY_PER_REQUEST",
            key_schema=[{"attributeName": one, "keyType": kind} for one, kind in zip(key, kinds, strict=False)],
            attribute_definitions=[{"attributeName": one, "attributeType": "S"} for one in key],
            point_in_time_recovery_specification={
                "pointInTimeRecoveryEnabled": True, "recoveryPeriodInDays": place.deployment.backup_days,
            },
            sse_specification={"sseEnabled": True, "sseType": "KMS", "kmsMasterKeyId": key_arn(place)},
            deletion_protection_enabled=True,
        )
    )  # fmt: skip


def bucket(
    stack: cdk.Stack, place: Place, logical: str, name: str, rules: list[dict[str, Any]], *, own_key: bool = True
) -> s3.CfnBucket:
    """A bucket: encrypted, versioned, of no public access; earlier versions end with the backups.

    own_key: by the place's key, which no other place may use; else by S3's own.
    """
    by_key = {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": key_arn(place)} if own_key else {"sseAlgorithm": "AES256"}
    earlier = {
        "id": "earlier-versions", "status": "Enabled",
        "noncurrentVersionExpiration": {"noncurrentDays": place.deployment.backup_days},
        "expiredObjectDeleteMarker": True, "abortIncompleteMultipartUpload": {"daysAfterInitiation": 2},
    }  # fmt: skip
    made = s3.CfnBucket(
        stack, logical, bucket_name=name, versioning_configuration={"status": "Enabled"},
        bucket_encryption={
            "serverSideEncryptionConfiguration": [
                {"bucketKeyEnabled": own_key, "serverSideEncryptionByDefault": by_key}
            ]
        },
        public_access_block_configuration={
            "blockPublicAcls": True, "blockPublicPolicy": True, "ignorePublicAcls": True, "restrictPublicBuckets": True,
        },
        ownership_controls={"rules": [{"objectOwnership": "BucketOwnerEnforced"}]},
        lifecycle_configuration={"rules": [earlier, *rules]},
    )  # fmt: skip
    keep(made)
    return made


def _lake(stack: cdk.Stack, place: Place) -> None:
    name = place.deployment.lake_bucket(place.name)
    logs = {"id": "logs", "status": "Enabled", "prefix": "logs/", "expirationInDays": 30}
    pipes = {"id": "pipes", "status": "Enabled", "prefix": "pipes/", "expirationInDays": 7}
    lake = bucket(stack, place, "Lake", name, [logs, pipes])
    policy = {"Version": "2012-10-17", "Statement": [tls_only(lake), _own_roles_only(place, name)]}
    s3.CfnBucketPolicy(stack, "LakePolicy", bucket=lake.ref, policy_document=policy)
    glue.CfnDatabase(
        stack, "Catalog", catalog_id=place.account,
        database_input={"name": GLUE_DATABASE, "locationUri": f"s3://{name}/warehouse"},
    )  # fmt: skip


def tls_only(of: s3.CfnBucket) -> dict[str, Any]:
    """Nothing is read or written without TLS."""
    return {
        "Sid": "TlsOnly", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
        "Resource": [of.attr_arn, cdk.Fn.join("", [of.attr_arn, "/*"])],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }  # fmt: skip


def _own_roles_only(place: Place, name: str) -> dict[str, Any]:
    """Whoever else is let in by a policy elsewhere is refused here: records are for the region's own roles."""
    return {
        "Sid": "OwnRolesOnly", "Effect": "Deny", "Principal": "*",
        "Action": ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"], "Resource": f"arn:aws:s3:::{name}/*",
        "Condition": {"StringNotEquals": {"aws:PrincipalTag/fleetlake-region": place.name}},
    }  # fmt: skip


def _live_state(stack: cdk.Stack, place: Place) -> None:
    """One primary and one replica in two zones, cluster mode off; a full one refuses writes and evicts nothing."""
    rules = elasticache.CfnParameterGroup(
        stack, "RedisRules", cache_parameter_group_family="valkey8", description="evicts nothing",
        properties={"maxmemory-policy": "noeviction", "cluster-enabled": "no"},
    )  # fmt: skip
    where = elasticache.CfnSubnetGroup(
        stack, "RedisSubnets", description="no way out", subnet_ids=subnets(place, "data"),
        cache_subnet_group_name=redis_name(place.name),
    )  # fmt: skip
    nobody = elasticache.CfnUser(
        stack, "RedisNobody", engine=_ENGINE, user_id=f"{redis_name(place.name)}-default", user_name="default",
        access_string="off ~* -@all", authentication_mode={"Type": "no-password-required"},
    )  # fmt: skip
    own = elasticache.CfnUser(
        stack, "RedisUser", engine=_ENGINE, user_id=place.name, user_name=place.name,
        access_string=f"on {access_string(place.name)}", authentication_mode={"Type": "iam"},
    )  # fmt: skip
    users = elasticache.CfnUserGroup(
        stack, "RedisUsers", engine=_ENGINE, user_group_id=redis_name(place.name), user_ids=[nobody.ref, own.ref]
    )
    cache = elasticache.CfnReplicationGroup(
        stack, "Redis", replication_group_id=redis_name(place.name), replication_group_description="live state",
        engine=_ENGINE, engine_version="8.0", cache_node_type=place.deployment.stores.redis_node, num_cache_clusters=2,
        automatic_failover_enabled=True, multi_az_enabled=True, transit_encryption_enabled=True,
        at_rest_encryption_enabled=True, kms_key_id=key_arn(place), snapshot_retention_limit=0,
        cache_parameter_group_name=rules.ref, cache_subnet_group_name=where.ref, user_group_ids=[users.ref],
        security_group_ids=[group(place, "redis")], auto_minor_version_upgrade=True,
    )  # fmt: skip
    keep(cache)
    export(stack, place, "redis", cache.attr_primary_end_point_address)


def stream_arn(place: Place) -> str:
    """The region's stream."""
    return imported(place, "stream")
