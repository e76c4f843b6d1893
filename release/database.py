"""Postgres as releases use it: a region's fleet_R, its privacy_R, and fleet_world."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from contracts.errors import StoreUnavailable


@contextmanager
def transaction(dsn: SecretStr) -> Iterator[psycopg.Connection]:
    """One transaction: committed at the end, rolled back where the block raises. Raises StoreUnavailable."""
    with connect(dsn) as connection:
        yield connection


def connect(dsn: SecretStr, *, autocommit: bool = False) -> psycopg.Connection:
    """A connection. As a context manager it commits, or rolls back after an error, and closes.

    Raises StoreUnavailable that names the database and its host, never a password.
    """
    try:
        return psycopg.connect(dsn.get_secret_value(), connect_timeout=10, autocommit=autocommit)
    except psycopg.OperationalError as error:
        parts = conninfo_to_dict(dsn.get_secret_value())
        where = f"{parts.get('host', 'local')}:{parts.get('port', 5432)}"
        raise StoreUnavailable(f"Postgres database {parts.get('dbname')} does not answer ({where})") from error


def lock(connection: psycopg.Connection, name: str) -> None:
    """Wait for the advisory lock `name`, held until the transaction ends."""
    connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
