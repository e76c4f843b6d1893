"""An outage is told from any other error of a store's client, and the store is named."""

import botocore.exceptions
import psycopg
import pytest
import redis
import sqlalchemy.exc
from py4j.protocol import Py4JJavaError

from contracts.outages import AWS, POSTGRES, REDIS, S3, expired, store_of


class JavaError(Py4JJavaError):
    """A Spark error with the text of its Java stack."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


def java(cause: str) -> JavaError:
    return JavaError(f"An error occurred while calling o91.sql.\n: org.apache.spark.SparkException\nCaused by: {cause}")


def postgres(kind: type[psycopg.Error]) -> psycopg.Error:
    return kind("the row of bus-4711")


OUTAGES = [
    (psycopg.OperationalError("connection to server failed: connection refused"), POSTGRES),
    (postgres(psycopg.errors.AdminShutdown), POSTGRES),
    (postgres(psycopg.errors.TooManyConnections), POSTGRES),
    (sqlalchemy.exc.OperationalError("select 1", {}, psycopg.OperationalError("server closed")), POSTGRES),
    (java("org.postgresql.util.PSQLException: The connection attempt failed."), POSTGRES),
    (redis.TimeoutError("Timeout reading from socket"), REDIS),
    (redis.ConnectionError("refused"), REDIS),
    (botocore.exceptions.EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), AWS),
    (botocore.exceptions.ReadTimeoutError(endpoint_url="http://127.0.0.1:1"), AWS),
    (OSError("When reading information for key 'k': AWS Error NETWORK_CONNECTION during HeadObject"), S3),
    (ConnectionResetError(104, "reset by peer"), S3),
    (java("software.amazon.awssdk.core.exception.SdkClientException: Unable to execute HTTP request"), S3),
]
OTHERS = [
    ValueError("row of bus-4711"),
    KeyError("day"),
    BrokenPipeError(32, "Broken pipe"),
    TimeoutError(),
    OSError("Couldn't deserialize thrift"),
    OSError("When getting information for key 'k': AWS Error ACCESS_DENIED during HeadObject"),
    postgres(psycopg.errors.DeadlockDetected),
    postgres(psycopg.errors.UniqueViolation),
    postgres(psycopg.errors.QueryCanceled),
    java("java.lang.ArithmeticException: / by zero"),
    OSError("When reading key 'k': AWS Error UNKNOWN (HTTP status 400) ExpiredToken: The provided token has expired."),
    redis.ResponseError("WRONGTYPE"),
]


@pytest.mark.parametrize(("error", "store"), OUTAGES, ids=[type(error).__name__ + store for error, store in OUTAGES])
def test_an_outage_names_its_store(error: Exception, store: str) -> None:
    assert store_of(error) == store


@pytest.mark.parametrize("error", OTHERS, ids=[type(error).__name__ for error in OTHERS])
def test_any_other_error_is_no_outage(error: Exception) -> None:
    assert store_of(error) is None


def test_an_error_that_an_outage_caused_is_one() -> None:
    error = ValueError("no document")
    error.__cause__ = redis.TimeoutError("Timeout reading from socket")
    assert store_of(error) == REDIS


@pytest.mark.parametrize(
    "error",
    [
        OSError("AWS Error UNKNOWN (HTTP status 400) during GetObject: Unable to parse ExceptionName: ExpiredToken"),
        java("software.amazon.awssdk.services.s3.model.S3Exception: The provided token has expired."),
        botocore.exceptions.ClientError({"Error": {"Code": "ExpiredTokenException"}}, "Scan"),
    ],
    ids=["pyarrow", "java", "boto3"],
)
def test_keys_that_have_expired_are_no_outage(error: Exception) -> None:
    wrapped = RuntimeError("a step failed")
    wrapped.__cause__ = error
    assert expired(wrapped)
    assert store_of(wrapped) is None
    assert not expired(java("java.lang.ArithmeticException: / by zero"))
