"""The region's Postgres database fleet_R, as the lake uses it."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict

from contracts.errors import StoreUnavailable
from contracts.settings import LakeSettings


@contextmanager
def transaction(settings: LakeSettings) -> Iterator[psycopg.Connection]:
    """One transaction: committed at the end, rolled back where the block raises. Raises StoreUnavailable."""
    try:
        connection = psycopg.connect(settings.postgres_dsn.get_secret_value(), connect_timeout=10)
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"Postgres of region {settings.region} does not answer ({_where(settings)})") from error
    with connection:
        yield connection


def dsn_parts(settings: LakeSettings) -> dict[str, str]:
    """host, port, user, password and dbname of the region's database."""
    parts = conninfo_to_dict(settings.postgres_dsn.get_secret_value())
    known = ("host", "port", "user", "password", "dbname")
    return {name: str(parts[name]) for name in known if parts.get(name) is not None}


def _where(settings: LakeSettings) -> str:
    parts = dsn_parts(settings)
    return f"{parts.get('host', 'local')}:{parts.get('port', '5432')}"
