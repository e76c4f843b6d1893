"""Postgres of a place: marts, registry, privacy, Dagster's runs. Backups end before an erasure must have expired."""

import aws_cdk as cdk
from aws_cdk import aws_rds as rds

from deploy.stacks.kit import Place, document, export, keep, key_arn, role, subnets
from deploy.stacks.network import group

ENGINE = "18"
ADMIN = "fleetlake_admin"


def add_database(stack: cdk.Stack, place: Place, *, small: bool = False) -> rds.CfnDBInstance:
    """A Multi-AZ instance. Its admin's password is RDS's own, which rotates it; nothing but the rotation reads it."""
    where = rds.CfnDBSubnetGroup(
        stack, "PostgresSubnets", db_subnet_group_description="no way out", subnet_ids=subnets(place, "data")
    )
    rules = rds.CfnDBParameterGroup(
        stack, "PostgresRules", family=f"postgres{ENGINE}", description="TLS only; no statement in the log",
        parameters={"rds.force_ssl": "1", "log_statement": "none", "log_min_duration_statement": "-1"},
    )  # fmt: skip
    watcher = role(stack, "postgres-watch", place, service="monitoring.rds.amazonaws.com", policies={
        "watch": document(_write_metrics(place))
    })  # fmt: skip
    sizes = place.deployment.stores
    instance = rds.CfnDBInstance(
        stack, "Postgres", db_instance_identifier=f"fleetlake-{place.name}", engine="postgres", engine_version=ENGINE,
        db_instance_class="db.t4g.medium" if small else sizes.postgres_class, storage_type="gp3",
        allocated_storage="50" if small else str(sizes.postgres_gib), max_allocated_storage=4_000, multi_az=True,
        storage_encrypted=True, kms_key_id=key_arn(place), master_username=ADMIN, manage_master_user_password=True,
        master_user_secret={"kmsKeyId": key_arn(place)}, db_subnet_group_name=where.ref,
        db_parameter_group_name=rules.ref, vpc_security_groups=[group(place, "postgres")], publicly_accessible=False,
        backup_retention_period=place.deployment.backup_days, copy_tags_to_snapshot=True, deletion_protection=True,
        delete_automated_backups=True, auto_minor_version_upgrade=True, enable_iam_database_authentication=True,
        enable_cloudwatch_logs_exports=["postgresql"], monitoring_interval=60, monitoring_role_arn=watcher.attr_arn,
        enable_performance_insights=True, performance_insights_kms_key_id=key_arn(place), port="5432",
    )  # fmt: skip
    keep(instance)
    export(stack, place, "postgres-secret", instance.attr_master_user_secret_secret_arn)
    return instance


def _write_metrics(place: Place) -> dict[str, object]:
    group_ = place.arn("logs", "log-group:RDSOSMetrics")
    return {
        "Sid": "EnhancedMonitoring", "Effect": "Allow", "Resource": [group_, f"{group_}:log-stream:*"],
        "Action": ["logs:CreateLogGroup", "logs:PutRetentionPolicy", "logs:CreateLogStream", "logs:PutLogEvents",
                   "logs:DescribeLogStreams", "logs:GetLogEvents"],
    }  # fmt: skip
