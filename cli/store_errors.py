"""A store that does not answer, said as what it is."""

from collections.abc import Iterator
from contextlib import contextmanager

import botocore.exceptions
import psycopg
import redis

from contracts.errors import BadSettings, StoreUnavailable

_OF_S3 = "AWS Error"
"""What Arrow's errors say when S3, or the way to it, failed; others are of the object's content."""
_DENIED = "ACCESS_DENIED"


@contextmanager
def stores_answer(region: str) -> Iterator[None]:
    """Turns a lost connection to any of the region's stores into StoreUnavailable, which names the store.

    A store that answers with a refusal is BadSettings; an object that cannot be decoded stays the error that it is.
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
