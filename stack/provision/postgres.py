"""Roles, databases and schemas. A role owns its own databases and cannot connect to any other."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contracts import ddl, names
from contracts.ports import HOST
from contracts.regions import WORLD
from stack.site import Site

if TYPE_CHECKING:
    import psycopg

DAGSTER = "dagster"
_ICEBERG_SCHEMA = "iceberg"
_CONNECT_S = 30
"""Connecting is slow on a busy machine."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database, its owner, the DDL that the owner runs in it, and who else may connect."""

    name: str
    owner: str
    ddl: str = ""
    readers: tuple[str, ...] = ()


def connect(
    site: Site, user: str, password: str, database: str, *, within_s: int = _CONNECT_S
) -> "psycopg.Connection[Any]":
    """A connection as that user, which commits each statement."""
    import psycopg

    return psycopg.connect(
        host=HOST,
        port=site.ports["postgres"],
        user=user,
        password=password,
        dbname=database,
        connect_timeout=within_s,
        autocommit=True,
    )


def logins(site: Site) -> dict[str, str]:
    """Every role that may log in, with its password."""
    known = {name: site.secrets.regions[name] for name in site.regions} | {WORLD: site.secrets.world}
    owners = {name: own.postgres for name, own in known.items()}
    readers = {names.bi_reader(name): own.bi_reader for name, own in known.items()}
    return owners | readers | {DAGSTER: site.secrets.dagster}


def databases(site: Site) -> list[Database]:
    """Every database of the stack."""
    made = [
        Database(names.fleet_database(WORLD), WORLD, ddl.world(), (names.bi_reader(WORLD),)),
        Database(DAGSTER, DAGSTER),
    ]
    for region in site.regions:
        made.append(Database(names.fleet_database(region), region, ddl.fleet(), (names.bi_reader(region),)))
        made.append(Database(names.privacy_database(region), region, ddl.privacy()))
    return made


def provision_databases(site: Site, admin: str) -> None:
    """Create missing roles, databases and schemas, and set every privilege again."""
    passwords, wanted = logins(site), databases(site)
    with connect(site, admin, site.secrets.postgres_admin, "postgres") as connection:
        _make_roles(connection, passwords)
        _close(connection, "postgres", "template1")
        present = {name for (name,) in connection.execute("select datname from pg_database").fetchall()}
        for database in wanted:
            if database.name not in present:
                _make_database(connection, database)
            _limit(connection, database)
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(lambda database: _apply_ddl(site, database, passwords), wanted))


def _make_roles(connection: "psycopg.Connection[Any]", passwords: Mapping[str, str]) -> None:
    from psycopg import sql

    present = {name for (name,) in connection.execute("select rolname from pg_roles").fetchall()}
    for role, password in passwords.items():
        verb = sql.SQL("alter" if role in present else "create")
        statement = sql.SQL("{} role {} with login nosuperuser nocreatedb nocreaterole noreplication password {}")
        connection.execute(statement.format(verb, sql.Identifier(role), sql.Literal(password)))
    for group in (names.BI_READER, names.CUSTOMER_READER, names.DRIVER_READER):
        verb = sql.SQL("alter" if group in present else "create")
        connection.execute(sql.SQL("{} role {} with nologin password null").format(verb, sql.Identifier(group)))
    for role in passwords:
        if role.startswith(names.bi_reader("")):
            statement = sql.SQL("grant {} to {}")
            connection.execute(statement.format(sql.Identifier(names.BI_READER), sql.Identifier(role)))


def _make_database(connection: "psycopg.Connection[Any]", database: Database) -> None:
    from psycopg import sql

    statement = sql.SQL("create database {} owner {}")
    connection.execute(statement.format(sql.Identifier(database.name), sql.Identifier(database.owner)))


def _limit(connection: "psycopg.Connection[Any]", database: Database) -> None:
    from psycopg import sql

    _close(connection, database.name)
    # An older stack let one role into every region.
    statement = sql.SQL("revoke all on database {} from {}")
    connection.execute(statement.format(sql.Identifier(database.name), sql.Identifier(names.BI_READER)))
    for reader in database.readers:
        statement = sql.SQL("grant connect on database {} to {}")
        connection.execute(statement.format(sql.Identifier(database.name), sql.Identifier(reader)))


def _close(connection: "psycopg.Connection[Any]", *databases: str) -> None:
    from psycopg import sql

    for database in databases:
        connection.execute(sql.SQL("revoke all on database {} from public").format(sql.Identifier(database)))


def _apply_ddl(site: Site, database: Database, passwords: Mapping[str, str]) -> None:
    if not database.ddl:
        return
    with (
        connect(site, database.owner, passwords[database.owner], database.name) as connection,
        connection.transaction(),
    ):
        connection.execute("set local client_min_messages = warning")
        connection.execute(database.ddl.encode())
