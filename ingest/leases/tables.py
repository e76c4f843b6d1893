"""Makes the tables of leases and ledger where they are missing, as consumers of the KCL are used to."""

import contextlib

import boto3

from contracts.names import leases_table, ledger_table
from contracts.settings import AwsService

_LOOKS = {"Delay": 1, "MaxAttempts": 60}


def make_tables(scope: str, aws_region: str, access: AwsService) -> None:
    """Make leases-SCOPE and ledger-SCOPE, paid by request, and wait until both are there."""
    client = boto3.client("dynamodb", **access.client_kwargs(aws_region))
    keys = {leases_table(scope): ("shard_id",), ledger_table(scope): ("shard_id", "last_seq")}
    for table, names in keys.items():
        with contextlib.suppress(client.exceptions.ResourceNotFoundException):
            client.describe_table(TableName=table)
            continue
        with contextlib.suppress(client.exceptions.ResourceInUseException):  # another worker has just made it
            client.create_table(
                TableName=table,
                KeySchema=[
                    {"AttributeName": name, "KeyType": kind}
                    for name, kind in zip(names, ("HASH", "RANGE"), strict=False)
                ],
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
                BillingMode="PAY_PER_REQUEST",
            )
    for table in keys:
        client.get_waiter("table_exists").wait(TableName=table, WaiterConfig=_LOOKS)
