"""A rotation makes a login, gives it its owner's rights, and leaves the former one working until the next."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

import stack as embedded
from contracts.errors import Misuse
from deploy.rotation import Login, Rotation, login_of
from tests.builders.secrets_server import secrets_client, secrets_server

LOGIN = Login(
    part="postgres-dsn", database="rotated", owner="rotated", name="rotated_fleet", reader="bi_reader_rotated",
    ddl="create schema if not exists ops; create table if not exists ops.kept (n int)",
)  # fmt: skip
BI = Login(part="bi-dsn", database="rotated", owner="bi_reader_rotated", name="bi_rotated", makes_database=False)
STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with secrets_server(tmp_path_factory.mktemp("secrets")) as service:
        yield secrets_client(service, "eu-central-1")


@pytest.fixture
def admin(stack: Any) -> str:
    site = embedded.running_site(Path(stack.state))
    return f"postgresql://postgres:{quote(site.secrets.postgres_admin)}@127.0.0.1:{site.ports['postgres']}/postgres"


@pytest.fixture
def rotate(client: Any, admin: str) -> Iterator[Callable[[Login], str]]:
    """Rotate a login's secret once; its current DSN."""

    def once(login: Login) -> str:
        name = f"fleetlake/eu/{login.part}"
        if not any(found["Name"] == name for found in client.list_secrets()["SecretList"]):
            client.create_secret(Name=name)
        token = str(uuid.uuid4())
        for step in STEPS:
            Rotation(client, admin, login, name, token).step(step)
            Rotation(client, admin, login, name, token).step(step)  # each may run again
        return str(client.get_secret_value(SecretId=name)["SecretString"])

    yield once
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("drop database if exists rotated with (force)")
        roles = connection.execute("select rolname from pg_roles where rolname like '%rotated%'").fetchall()
        for (role,) in roles:
            connection.execute(f'drop role "{role}"'.encode())
    for login in (LOGIN, BI):
        if any(found["Name"].endswith(login.part) for found in client.list_secrets()["SecretList"]):
            client.delete_secret(SecretId=f"fleetlake/eu/{login.part}", ForceDeleteWithoutRecovery=True)


def asked(dsn: str, query: str) -> Any:
    with psycopg.connect(dsn) as connection:
        found = connection.execute(query.encode()).fetchone()
    return found and found[0]


def test_the_first_rotation_makes_database_schema_and_login(rotate: Callable[[Login], str]) -> None:
    dsn = rotate(LOGIN)
    assert asked(dsn, "select current_user::text") == "rotated"
    assert asked(dsn, "select count(*) from ops.kept") == 0


def test_the_former_login_works_until_the_next_rotation(rotate: Callable[[Login], str]) -> None:
    first, second = rotate(LOGIN), rotate(LOGIN)
    assert first.partition("@")[0] != second.partition("@")[0]
    assert asked(first, "select current_user::text") == asked(second, "select current_user::text") == "rotated"
    third = rotate(LOGIN)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(first)
    assert asked(second, "select 1") == asked(third, "select 1") == 1


def test_a_bi_login_connects_and_reads_no_ops(rotate: Callable[[Login], str]) -> None:
    rotate(LOGIN)
    dsn = rotate(BI)
    assert asked(dsn, "select current_user::text") == "bi_reader_rotated"
    with psycopg.connect(dsn) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select * from ops.kept")


@pytest.mark.parametrize(
    ("secret", "place", "database", "owner"),
    [
        ("arn:aws:secretsmanager:eu-central-1:1:secret:fleetlake/eu/postgres-dsn-AbCdEf", "eu", "fleet_eu", "eu"),
        ("arn:aws:secretsmanager:eu-central-1:1:secret:fleetlake/eu/privacy-dsn-AbCdEf", "eu", "privacy_eu", "eu"),
        ("fleetlake/world/postgres-dsn", "world", "fleet_world", "world"),
        ("fleetlake/eu/bi-dsn", "eu", "fleet_eu", "bi_reader_eu"),
        ("fleetlake/eu/dagster-dsn", "eu", "dagster", "dagster"),
    ],
)
def test_a_secret_names_its_login(secret: str, place: str, database: str, owner: str) -> None:
    found = login_of(secret, place)
    assert (found.database, found.owner) == (database, owner)


def test_a_secret_of_another_place_is_refused() -> None:
    with pytest.raises(Misuse, match="no login of us"):
        login_of("fleetlake/eu/postgres-dsn", "us")
