"""A store that does not answer, said as what it is."""

from collections.abc import Iterator
from contextlib import contextmanager

import botocore.exceptions
import psycopg
import redis

from contracts.errors import StackDown


@contextmanager
def stores_answer(region: str) -> Iterator[None]:
    """Turns a lost connection to any of the region's stores into StackDown, which names the store."""
    try:
        yield
    except psycopg.OperationalError as error:
        raise _down("Postgres", region) from error
    except redis.ConnectionError as error:
        raise _down("Redis", region) from error
    except botocore.exceptions.ConnectionError as error:
        raise _down("DynamoDB or Kinesis", region) from error
    except OSError as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise _down("S3", region) from error


def _down(store: str, region: str) -> StackDown:
    return StackDown(f"{store} of region {region} does not answer; `fleetlake status` shows what runs, `up` mends it")
