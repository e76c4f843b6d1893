"""A store that is away is told from one that refuses and from an object that is damaged."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from cli.store_errors import naming_the_store
from contracts.errors import BadSettings, StoreUnavailable
from contracts.names import bucket


def store(endpoint: str, key: str, secret: str) -> fs.S3FileSystem:
    retries = fs.AwsStandardS3RetryStrategy(max_attempts=1)
    return fs.S3FileSystem(
        endpoint_override=endpoint, scheme="http", access_key=key, secret_key=secret, retry_strategy=retries
    )


def test_an_s3_that_is_away_is_down():
    with pytest.raises(StoreUnavailable, match="S3 of region us does not answer"), naming_the_store("us"):
        store("127.0.0.1:1", "k", "s").open_input_file("lake-us/any")


def test_an_s3_that_denies_is_no_outage(stack):
    service = stack.settings("us").s3
    secrets = (service.access_key.get_secret_value(), service.secret_key.get_secret_value())
    with pytest.raises(BadSettings, match="denies"), naming_the_store("us"):
        store(service.endpoint.partition("://")[2], *secrets).open_input_file(f"{bucket('eu')}/any")


def test_a_damaged_object_is_no_outage():
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), sink)
    good = sink.getvalue()
    damaged = good[:-40] + b"\xff" * 32 + good[-8:]
    with pytest.raises(OSError, match="thrift"), naming_the_store("us"):
        pq.read_metadata(io.BytesIO(damaged))
