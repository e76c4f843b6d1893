"""The region's database privacy_R."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from contracts.errors import StoreUnavailable
from contracts.settings import RegionSettings

Connection = psycopg.Connection[Any]


@contextmanager
def transaction(settings: RegionSettings) -> Iterator[Connection]:
    """One transaction: committed at the end, rolled back where the block raises. Raises StoreUnavailable."""
    try:
        connection = psycopg.connect(settings.privacy_dsn.get_secret_value(), connect_timeout=10)
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"Postgres of region {settings.region} (privacy) does not answer") from error
    with connection:
        yield connection
