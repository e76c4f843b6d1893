"""The proof of residency: every store of every region is asked with every other region's identity, and refuses.

Each identity is first let into its own store, so that a refusal is not an outage or a wrong address.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from contracts import names
from contracts.ports import HOST
from contracts.regions import WORLD
from stack.clients import aws_client, s3_client
from stack.lifecycle import running_site
from stack.provision.postgres import DAGSTER, connect, logins
from stack.site import Site

ACCEPTED, REFUSED, UNCLEAR = "accepted", "refused", "unclear"
_NO = ("AccessDenied", "AccessDeniedException", "No permissions", "permission denied")
"""How the stores say no: S3, Kinesis and DynamoDB, Redis, Postgres."""
_ASK_S = 30
_KEY = "residency"
"""The name of what is asked for, in every store: nothing has it."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One request with somebody's identity."""

    identity: str
    """A region, `world`, or one of their roles for BI tools."""
    store: str
    what: str
    """What was asked for: the action, and the name that it was asked of."""
    of: str
    """Whose that is."""
    outcome: str
    """accepted, refused, or unclear where the store answered neither."""
    said: str
    """The store's own word."""

    @property
    def as_it_should(self) -> bool:
        """Whether one's own is accepted and another's refused."""
        own = self.of == self.identity.removeprefix(f"{names.BI_READER}_")
        return self.outcome == (ACCEPTED if own else REFUSED)


def attempts(state: Path) -> list[Attempt]:
    """Every attempt, by identity, store and owner. Writes nothing that an owner would notice, were one let in.

    Raises StackDown where the stack is not up.
    """
    site = running_site(state)
    asked = list(_questions(site))
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(_asked, asked))


class _Question(NamedTuple):
    identity: str
    store: str
    what: str
    of: str
    ask: Callable[[], object]


def _questions(site: Site) -> Iterator[_Question]:
    for identity in site.regions:
        for owner in site.regions:
            yield from _of_aws(site, identity, owner)
            yield from _of_s3(site, identity, owner)
            yield from _of_redis(site, identity, owner)
    yield from _of_exchange(site)
    yield from _of_postgres(site)


def _of_aws(site: Site, identity: str, owner: str) -> Iterator[_Question]:
    keys, region = site.secrets.regions[identity].aws, site.regions[owner]
    if keys is None:
        return
    kinesis, dynamodb = (
        aws_client(service, site.ports["kinesis"], keys, region.aws_region) for service in ("kinesis", "dynamodb")
    )
    stream, put = names.stream(owner), partial(kinesis.put_record, Data=b"x", PartitionKey="x")
    read = partial(kinesis.describe_stream_summary, StreamName=stream)
    yield _Question(identity, "kinesis", f"read {stream}", owner, read)
    for table in (names.leases_table(owner), names.ledger_table(owner)):
        scan = partial(dynamodb.scan, TableName=table, Limit=1)
        yield _Question(identity, "dynamodb", f"read {table}", owner, scan)
    if owner != identity:
        yield _Question(identity, "kinesis", f"write {stream}", owner, partial(put, StreamName=stream))


def _of_s3(site: Site, identity: str, owner: str) -> Iterator[_Question]:
    s3, bucket = s3_client(site.ports["s3"], site.secrets.regions[identity].s3), names.bucket(owner)
    yield _Question(identity, "s3", f"list {bucket}", owner, partial(s3.list_objects_v2, Bucket=bucket, MaxKeys=1))
    if owner == identity:
        return
    for where, name in ((bucket, _KEY), (names.EXCHANGE_BUCKET, f"{names.exchange_prefix(owner)}{_KEY}")):
        read, write = partial(s3.get_object, Bucket=where, Key=name), partial(s3.put_object, Bucket=where, Key=name)
        yield _Question(identity, "s3", f"read {where}/{name}", owner, read)
        yield _Question(identity, "s3", f"write {where}/{name}", owner, partial(write, Body=b""))


def _of_redis(site: Site, identity: str, owner: str) -> Iterator[_Question]:
    import redis

    secret = site.secrets.regions[identity].redis
    client = redis.Redis(HOST, site.ports["redis"], username=identity, password=secret, socket_timeout=_ASK_S)
    latest, seen = names.redis_latest(owner, _KEY), names.redis_seen(owner)
    yield _Question(identity, "redis", f"read {latest}", owner, partial(client.get, latest))
    yield _Question(identity, "redis", f"read {seen}", owner, partial(client.zcard, seen))
    if owner != identity:
        yield _Question(identity, "redis", f"write {latest}", owner, partial(client.delete, latest))


def _of_exchange(site: Site) -> Iterator[_Question]:
    """The world reads the exchange and nothing of a region; a region lists no exchange."""
    world, exchange = s3_client(site.ports["s3"], site.secrets.world.s3), names.EXCHANGE_BUCKET
    listed = f"list {exchange}"
    yield _Question(WORLD, "s3", listed, WORLD, partial(world.list_objects_v2, Bucket=exchange, MaxKeys=1))
    for owner in site.regions:
        bucket, key = names.bucket(owner), f"{names.exchange_prefix(owner)}{_KEY}"
        write = partial(world.put_object, Bucket=exchange, Key=key, Body=b"")
        yield _Question(WORLD, "s3", f"list {bucket}", owner, partial(world.list_objects_v2, Bucket=bucket))
        yield _Question(WORLD, "s3", f"write {exchange}/{key}", owner, write)
        own = s3_client(site.ports["s3"], site.secrets.regions[owner].s3)
        yield _Question(owner, "s3", listed, WORLD, partial(own.list_objects_v2, Bucket=exchange))


def _of_postgres(site: Site) -> Iterator[_Question]:
    """Every role that may log in, at every database. A role for BI tools may open its region's marts alone."""
    owners = (*site.regions, WORLD)
    databases = [(names.fleet_database(owner), owner) for owner in owners] + [(DAGSTER, DAGSTER)]
    private = [(names.privacy_database(owner), owner) for owner in site.regions]
    for role, password in logins(site).items():
        not_for_bi = "'s own" if role.startswith(names.BI_READER) else ""
        for database, owner in [*databases, *((name, owner + not_for_bi) for name, owner in private)]:
            ask = partial(_open, site, role, password, database)
            yield _Question(role, "postgres", f"open {database}", owner, ask)


def _open(site: Site, role: str, password: str, database: str) -> None:
    with connect(site, role, password, database, within_s=_ASK_S):
        pass


def _asked(question: _Question) -> Attempt:
    try:
        question.ask()
        outcome, said = ACCEPTED, ""
    except Exception as error:  # noqa: BLE001 - what a store says is the result
        said = _word(error)
        outcome = REFUSED if said in _NO else UNCLEAR
    identity, store, what, of, _ = question
    return Attempt(identity=identity, store=store, what=what, of=of, outcome=outcome, said=said[:120])


def _word(error: Exception) -> str:
    """The store's code, or the word of _NO in what it says."""
    code = getattr(error, "response", {}).get("Error", {}).get("Code")
    if code:
        return str(code)
    text = f"{type(error).__name__}: {error}"
    return next((word for word in _NO if word in text), " ".join(text.split()))
