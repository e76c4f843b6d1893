"""Prices of AWS in dollars, one table: what is counted, its price, where the price stands, and when it was looked up.

On demand, Linux, without savings plans and free tiers, in the region of AWS named: others are 10 to 30 % higher.
"""

from typing import Literal

import msgspec

AWS_REGION = "us-east-1"
LOOKED_UP = "2026-11-30"
_KINESIS, _CACHE, _RDS = "kinesis/data-streams", "elasticache", "rds/postgresql"
_PAGE = "https://aws.amazon.com/{}/pricing/"
Unit = Literal["hour", "GB-month", "million", "GB", "month"]


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """One price. page: the part of AWS's address of its price page."""

    what: str
    unit: Unit
    usd: float
    page: str

    @property
    def source(self) -> str:
        """Where the price stands."""
        return _PAGE.format(self.page)


PRICES: dict[str, Price] = {
    "fargate_vcpu": Price(what="Fargate, ARM64, a vCPU", unit="hour", usd=0.03238, page="fargate"),
    "fargate_gb": Price(what="Fargate, ARM64, a GB of memory", unit="hour", usd=0.00356, page="fargate"),
    "kinesis_shard": Price(what="Kinesis, a provisioned shard", unit="hour", usd=0.015, page=_KINESIS),
    "kinesis_put": Price(what="Kinesis, PUT payload units of 25 KB", unit="million", usd=0.014, page=_KINESIS),
    "kinesis_7_days": Price(what="Kinesis, retention to 7 days, a shard", unit="hour", usd=0.02, page=_KINESIS),
    "kinesis_on_demand_in": Price(what="Kinesis on demand, data in", unit="GB", usd=0.08, page=_KINESIS),
    "kinesis_on_demand_out": Price(what="Kinesis on demand, data out", unit="GB", usd=0.04, page=_KINESIS),
    "kinesis_on_demand_stream": Price(what="Kinesis on demand, the stream", unit="hour", usd=0.04, page=_KINESIS),
    "kinesis_on_demand_kept": Price(what="Kinesis on demand, after a day", unit="GB-month", usd=0.1, page=_KINESIS),
    "dynamodb_write": Price(what="DynamoDB on demand, write units", unit="million", usd=0.625, page="dynamodb"),
    "dynamodb_read": Price(what="DynamoDB on demand, read units", unit="million", usd=0.125, page="dynamodb"),
    "s3_kept": Price(what="S3 standard, first 50 TB", unit="GB-month", usd=0.023, page="s3"),
    "s3_put": Price(what="S3, PUT and LIST", unit="million", usd=5.0, page="s3"),
    "s3_get": Price(what="S3, GET", unit="million", usd=0.4, page="s3"),
    "cache.r7g.large": Price(what="Valkey, cache.r7g.large, a node", unit="hour", usd=0.1752, page=_CACHE),
    "cache.r7g.xlarge": Price(what="Valkey, cache.r7g.xlarge, a node", unit="hour", usd=0.3504, page=_CACHE),
    "cache.r7g.2xlarge": Price(what="Valkey, cache.r7g.2xlarge, a node", unit="hour", usd=0.7008, page=_CACHE),
    "cache.r7g.4xlarge": Price(what="Valkey, cache.r7g.4xlarge, a node", unit="hour", usd=1.4016, page=_CACHE),
    "db.r6g.large": Price(what="Postgres Multi-AZ, db.r6g.large", unit="hour", usd=0.45, page=_RDS),
    "db.r6g.xlarge": Price(what="Postgres Multi-AZ, db.r6g.xlarge", unit="hour", usd=0.9, page=_RDS),
    "db.r6g.2xlarge": Price(what="Postgres Multi-AZ, db.r6g.2xlarge", unit="hour", usd=1.8, page=_RDS),
    "db.r6g.4xlarge": Price(what="Postgres Multi-AZ, db.r6g.4xlarge", unit="hour", usd=3.6, page=_RDS),
    "rds_kept": Price(what="RDS, gp3 storage, Multi-AZ", unit="GB-month", usd=0.23, page=_RDS),
    "emr_vcpu": Price(what="EMR Serverless, ARM64, a vCPU", unit="hour", usd=0.042094, page="emr"),
    "emr_gb": Price(what="EMR Serverless, ARM64, a GB of memory", unit="hour", usd=0.004628, page="emr"),
    "nlb": Price(what="NLB", unit="hour", usd=0.0225, page="elasticloadbalancing"),
    "nlb_unit": Price(what="NLB, capacity units", unit="hour", usd=0.006, page="elasticloadbalancing"),
    "alb": Price(what="ALB", unit="hour", usd=0.0225, page="elasticloadbalancing"),
    "alb_unit": Price(what="ALB, capacity units", unit="hour", usd=0.008, page="elasticloadbalancing"),
    "nat": Price(what="NAT gateway", unit="hour", usd=0.045, page="vpc"),
    "endpoint": Price(what="interface endpoint, in one zone", unit="hour", usd=0.01, page="privatelink"),
    "address": Price(what="public IPv4 address", unit="hour", usd=0.005, page="vpc"),
    "out": Price(what="data out to the internet", unit="GB", usd=0.09, page="ec2/on-demand"),
    "between_zones": Price(what="data between zones, both ways", unit="GB", usd=0.02, page="ec2/on-demand"),
    "log": Price(what="CloudWatch Logs, taken in", unit="GB", usd=0.5, page="cloudwatch"),
    "metric": Price(what="CloudWatch, a custom metric", unit="month", usd=0.30, page="cloudwatch"),
    "alarm": Price(what="CloudWatch, an alarm", unit="month", usd=0.10, page="cloudwatch"),
    "secret": Price(what="Secrets Manager, a secret", unit="month", usd=0.40, page="secrets-manager"),
    "key": Price(what="KMS, a key", unit="month", usd=1.0, page="kms"),
    "waf": Price(what="WAF, an ACL with four rules", unit="month", usd=9.0, page="waf"),
}  # fmt: skip
"""Entered by hand. Those of Fargate and of Kinesis' shards were compared with two published tables on that day, the
others are as known by then: look at those that dominate on their page before you sign."""
HOURS_A_MONTH = 730.0
