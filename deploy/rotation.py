"""Makes the logins of a place's databases, and rotates them: a function of Lambda that Secrets Manager calls.

A login has two roles, `NAME_a` and `NAME_b`, members of the role that owns the database. A rotation gives the one that
is not current a new password and makes it current; whoever holds the other works on until the next rotation. The first
rotation makes database, owner and schema as well, so a new place needs nothing else.
"""

import json
import os
import secrets
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from contracts import ddl, names
from contracts.errors import Misuse
from contracts.regions import WORLD

CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"
_SERVICES: Mapping[str, tuple[str, ...]] = {
    "postgres-dsn": ("gateway", "consumer", "serving", "code"),
    "privacy-dsn": ("gateway", "consumer", "serving", "code"),
    "dagster-dsn": ("code", "web", "daemon"),
    "bi-dsn": (),
}
"""Services that were started with the secret: they are deployed anew, by the service's own rolling deployment."""


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """What a secret is the DSN of. owner: the role whose rights its two roles have."""

    part: str
    database: str
    owner: str
    name: str
    ddl: str = ""
    reader: str | None = None
    """A role that may connect as well."""
    makes_database: bool = True


def login_of(secret: str, place: str) -> Login:
    """The login of a secret, by its name fleetlake/PLACE/PART-SUFFIX. Raises Misuse."""
    part = next((known for known in _SERVICES if f"/{place}/{known}" in secret), None)
    fleet = names.fleet_database(place)
    match part:
        case "postgres-dsn":
            schema = ddl.world() if place == WORLD else ddl.fleet()
            reader = names.bi_reader(place)
            return Login(part=part, database=fleet, owner=place, name=f"{place}_fleet", ddl=schema, reader=reader)
        case "privacy-dsn":
            database = names.privacy_database(place)
            return Login(part=part, database=database, owner=place, name=f"{place}_privacy", ddl=ddl.privacy())
        case "dagster-dsn":
            return Login(part=part, database="dagster", owner="dagster", name="dagster_runs")
        case "bi-dsn":
            owner = names.bi_reader(place)
            return Login(part=part, database=fleet, owner=owner, name=f"{owner}_login", makes_database=False)
    raise Misuse(f"{secret} is no login of {place}; give the rotation a secret fleetlake/{place}/PART")


class Rotation:
    """One rotation of one secret, step by step; each step may run again.

    secrets: a client of Secrets Manager. admin_dsn: of a role that may make roles and databases.
    """

    def __init__(self, client: Any, admin_dsn: str, login: Login, secret: str, token: str) -> None:
        self._client, self._admin_dsn, self._login = client, admin_dsn, login
        self._secret, self._token = secret, token

    def step(self, name: str) -> None:
        """Do one of createSecret, setSecret, testSecret, finishSecret. Raises Misuse."""
        steps = {
            "createSecret": self.create,
            "setSecret": self.set,
            "testSecret": self.test,
            "finishSecret": self.finish,
        }
        if name not in steps:
            raise Misuse(f"{name} is no step of a rotation; there are {', '.join(steps)}")
        steps[name]()

    def create(self) -> None:
        """Keep a new DSN as pending, of the role that is not current."""
        if self._value(PENDING, self._token) is not None:
            return
        current = self._value(CURRENT)
        role = f"{self._login.name}_{'b' if current and f'{self._login.name}_a' in current else 'a'}"
        where = urlsplit(self._admin_dsn)
        address = f"{where.hostname}:{where.port or 5432}"
        options = f"?{where.query}" if where.query else ""
        dsn = f"postgresql://{role}:{quote(secrets.token_urlsafe(32))}@{address}/{self._login.database}{options}"
        self._client.put_secret_value(
            SecretId=self._secret, ClientRequestToken=self._token, SecretString=dsn, VersionStages=[PENDING]
        )

    def set(self) -> None:
        """Make what is missing of owner, database and login, and give the login its password and the owner's rights."""
        import psycopg

        pending = urlsplit(self._pending())
        with psycopg.connect(self._admin_dsn, autocommit=True) as connection:
            _ensure_owner(connection, self._login)
            _ensure_login(connection, self._login, str(pending.username), str(pending.password))
            _ensure_database(connection, self._login)
        if self._login.ddl:
            with psycopg.connect(self._pending()) as connection:
                connection.execute("set local client_min_messages = warning")
                connection.execute(self._login.ddl.encode())

    def test(self) -> None:
        """Connect as the pending login, with the owner's rights. Raises psycopg's errors."""
        import psycopg

        with psycopg.connect(self._pending()) as connection:
            found = connection.execute("select current_user, current_database()").fetchone()
        if found != (self._login.owner, self._login.database):
            raise Misuse(f"the new login of {self._login.part} is {found}, not {self._login.owner}; look at its role")

    def finish(self) -> None:
        """The pending one is the current one."""
        versions = self._client.describe_secret(SecretId=self._secret)["VersionIdsToStages"]
        current = next((version for version, stages in versions.items() if CURRENT in stages), None)
        if current == self._token:
            return
        moved = {"RemoveFromVersionId": current} if current else {}
        self._client.update_secret_version_stage(
            SecretId=self._secret, VersionStage=CURRENT, MoveToVersionId=self._token, **moved
        )

    def _pending(self) -> str:
        found = self._value(PENDING, self._token)
        if found is None:
            raise Misuse(f"{self._login.part} has no pending value; createSecret comes first")
        return found

    def _value(self, stage: str, token: str | None = None) -> str | None:
        version = {"VersionId": token} if token else {}
        try:
            answer = self._client.get_secret_value(SecretId=self._secret, VersionStage=stage, **version)
        except self._client.exceptions.ResourceNotFoundException:
            return None
        return answer.get("SecretString") or None


def _exists(connection: Any, role: str) -> bool:
    return connection.execute("select 1 from pg_roles where rolname = %s", [role]).fetchone() is not None


def _ensure_role(connection: Any, role: str) -> None:
    from psycopg import sql

    if not _exists(connection, role):
        connection.execute(sql.SQL("create role {} with nologin").format(sql.Identifier(role)))
    # What makes a database for an owner has to be a member of it.
    connection.execute(sql.SQL("grant {} to current_user").format(sql.Identifier(role)))


def _ensure_owner(connection: Any, login: Login) -> None:
    from psycopg import sql

    for role in filter(None, (login.owner, login.reader, names.BI_READER if login.reader else None)):
        _ensure_role(connection, role)
    if login.reader:
        grant = sql.SQL("grant {} to {}")
        connection.execute(grant.format(sql.Identifier(names.BI_READER), sql.Identifier(login.reader)))


def _ensure_login(connection: Any, login: Login, role: str, password: str) -> None:
    from psycopg import sql

    verb = sql.SQL("alter" if _exists(connection, role) else "create")
    made = sql.SQL("{} role {} with login nosuperuser nocreatedb nocreaterole noreplication password {}")
    connection.execute(made.format(verb, sql.Identifier(role), sql.Literal(password)))
    connection.execute(sql.SQL("grant {} to {}").format(sql.Identifier(login.owner), sql.Identifier(role)))
    as_owner = sql.SQL("alter role {} set role to {}")
    connection.execute(as_owner.format(sql.Identifier(role), sql.Literal(login.owner)))


def _ensure_database(connection: Any, login: Login) -> None:
    from psycopg import sql

    database = sql.Identifier(login.database)
    known = connection.execute("select 1 from pg_database where datname = %s", [login.database]).fetchone()
    if known is None and login.makes_database:
        connection.execute(sql.SQL("create database {} owner {}").format(database, sql.Identifier(login.owner)))
        connection.execute(sql.SQL("revoke all on database {} from public").format(database))
    for role in filter(None, (login.reader, None if login.makes_database else login.owner)):
        if known or login.makes_database:
            connection.execute(sql.SQL("grant connect on database {} to {}").format(database, sql.Identifier(role)))


def handle(event: Mapping[str, str], environment: Mapping[str, str]) -> None:
    """One call of Secrets Manager."""
    import boto3

    place, aws_region = environment["FLEETLAKE_REGION"], environment["AWS_REGION"]
    client = boto3.client("secretsmanager", region_name=aws_region)
    kept = json.loads(client.get_secret_value(SecretId=environment["FLEETLAKE_ADMIN_SECRET"])["SecretString"])
    user, password = quote(kept["username"]), quote(kept["password"], safe="")
    admin = f"postgresql://{user}:{password}@{environment['FLEETLAKE_POSTGRES_HOST']}:5432/postgres?sslmode=require"
    login = login_of(event["SecretId"], place)
    Rotation(client, admin, login, event["SecretId"], event["ClientRequestToken"]).step(event["Step"])
    if event["Step"] == "finishSecret":
        deploy_anew(boto3.client("ecs", region_name=aws_region), environment["FLEETLAKE_CLUSTER"], login)


def deploy_anew(ecs: Any, cluster: str, login: Login) -> list[str]:
    """Start a rolling deployment of each service that holds the login; those that are not there yet are left out."""
    absent = (ecs.exceptions.ServiceNotFoundException, ecs.exceptions.ClusterNotFoundException,
              ecs.exceptions.ServiceNotActiveException)  # fmt: skip
    started = []
    for service in _SERVICES[login.part]:
        try:
            ecs.update_service(cluster=cluster, service=service, forceNewDeployment=True)
        except absent:
            continue
        started.append(service)
    return started


def serve(api: str) -> None:
    """Take calls from Lambda's runtime API, one after the other, for ever."""
    base = f"http://{api}/2018-06-01/runtime/invocation"
    while True:
        with urllib.request.urlopen(f"{base}/next") as answer:  # noqa: S310 - the runtime's own address
            request, event = answer.headers["Lambda-Runtime-Aws-Request-Id"], json.load(answer)
        try:
            handle(event, os.environ)
        except Exception as error:  # noqa: BLE001 - told to Lambda, which tells Secrets Manager
            # A message of the driver's may quote a DSN: its class is what is told.
            told = {"errorType": type(error).__name__, "errorMessage": f"{event.get('Step')} failed"}
            _post(f"{base}/{request}/error", told)
        else:
            _post(f"{base}/{request}/response", {})


def _post(url: str, body: Mapping[str, Any]) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")  # noqa: S310
    urllib.request.urlopen(request).close()  # noqa: S310


if __name__ == "__main__":
    serve(os.environ["AWS_LAMBDA_RUNTIME_API"])
