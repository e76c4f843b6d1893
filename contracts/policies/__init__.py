"""IAM policies, as templates: the same text limits a region's processes here and on AWS."""

import json
from importlib.resources import files
from string import Template

from contracts import names
from contracts.regions import Region


def region_policy(region: Region, *, account: str, partition: str = "aws") -> str:
    """The policy of one region's processes: its own stream, its consumers, its own two tables and those
    of its applications (leases-R-NAME, ledger-R-NAME), and no more.

    Keys of KMS only as those services use them for what they hold.

    account: the 12 digits of the AWS account. partition: `aws`, `aws-cn` or `aws-us-gov`.
    """
    text = files(__name__).joinpath("region.json").read_text(encoding="utf-8")
    filled = Template(text).substitute(
        partition=partition,
        account=account,
        aws_region=region.aws_region,
        domain="amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com",
        stream=names.stream(region.name),
        leases=names.leases_table(region.name),
        ledger=names.ledger_table(region.name),
    )
    return json.dumps(json.loads(filled))
