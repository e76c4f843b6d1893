"""A region's credentials reach its own data and are refused everything else, by the services themselves."""

import boto3
import pytest
from botocore.exceptions import ClientError


def test_a_region_reads_its_own_stream_and_is_refused_another(stack):
    settings = stack.settings("us")
    kinesis = boto3.client("kinesis", **settings.kinesis.client_kwargs(settings.row.aws_region))
    assert len(kinesis.list_shards(StreamName="telemetry-us")["Shards"]) == settings.row.stream_shards
    other = boto3.client("kinesis", **settings.kinesis.client_kwargs("eu-central-1"))
    with pytest.raises(ClientError, match="AccessDenied"):
        other.list_shards(StreamName="telemetry-eu")
