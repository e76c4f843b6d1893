"""Turns the errors of store clients into StoreUnavailable and BadSettings, which name the store."""

from collections.abc import Iterator
from contextlib import contextmanager

import botocore.exceptions
import psycopg
import redis

from contracts.errors import BadSettings, StoreUnavailable

_OF_S3 = "AWS Error"
"""Part of every Arrow error of S3 or the connection to it; other errors concern an object's content."""
_DENIED = "ACCESS_DENIED"


@contextmanager
def naming_the_store(region: str) -> Iterator[None]:
    """Raises StoreUnavailable, which names the store, for a lost connection to any of the region's stores.

    An access denied by S3 is BadSettings; the error of an object that cannot be decoded is left as it is.
    """
    try:
        yield
    except psycopg.OperationalError as error:
        raise _down("Postgres", region) from error
    except redis.ConnectionError as error:
        raise _down("Redis", region) from error
    except botocore.exceptions.ConnectionError as error:
        raise _down("DynamoDB or Kinesis", region) from error
    except OSError as error:
        if isinstance(error, ConnectionError | TimeoutError):
            raise _down("S3", region) from error
        if _OF_S3 not in str(error):
            raise
        if _DENIED in str(error):
            raise BadSettings(f"S3 denies region {region} what it asked for; check its keys and policy") from error
        raise _down("S3", region) from error


def _down(store: str, region: str) -> StoreUnavailable:
    return StoreUnavailable(f"{store} of region {region} does not answer")
