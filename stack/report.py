"""The status of a stack: endpoints, credentials on request, and the backlog and counts of each region."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from contracts import names
from contracts.errors import BadRegionTable
from contracts.regions import WORLD, Region
from stack.backlog import Backlog, read_backlog
from stack.clients import endpoint
from stack.counts import history_counts, ledger_counts, live_counts
from stack.credentials import Keys
from stack.environments import bi_dsn, dsn, redis_url
from stack.lifecycle import known_site, new_regions, services_status
from stack.ports import CLIENT_PORTS
from stack.site import Site

MASK = "***"
_BUDGET_S = 2.0
_IN_URL = re.compile(r"(://[^:/@]*:)[^@]*@")
_SECRET_KEYS = frozenset({"secret_key"})


def status(state: Path, *, secrets: bool = False) -> dict[str, Any]:
    """Everything about the stack of that folder, in the shape that `fleetlake status --json` promises.

    `services` has up, down or failing. A figure is None where its store did not answer. A stack that is down is not an
    error: `services` says so, and `regions` is empty if it was never up. `problems` lists errors of the region table,
    and its regions that are not in the stack yet.
    """
    services = services_status(state)
    found: dict[str, Any] = {"state": str(Path(state).resolve()), "services": services, "regions": {}, "problems": []}
    try:
        site, new = known_site(state), new_regions(state)
    except BadRegionTable as error:
        return found | {"problems": [str(error)]}
    found["problems"] += [f"region {name} is not in the stack yet; run 'fleetlake up'" for name in new]
    if site is None or not site.ports.keys() >= set(CLIENT_PORTS):
        return found
    with ThreadPoolExecutor(max_workers=8) as pool:
        figures = {name: pool.submit(_figures, site, region, services) for name, region in site.regions.items()}
    for name, region in site.regions.items():
        found["regions"][name] = _places(site, region) | figures[name].result()
    found[WORLD] = _world(site)
    return found if secrets else masked(found)


def masked(value: Any) -> Any:
    """The same value with every secret masked, including those within URLs."""
    if isinstance(value, dict):
        return {key: MASK if key in _SECRET_KEYS and item else masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return _IN_URL.sub(rf"\1{MASK}@", value) if isinstance(value, str) else value


def _places(site: Site, region: Region) -> dict[str, Any]:
    name, known = region.name, site.secrets.regions[region.name]
    aws = {"endpoint": endpoint(site.ports["kinesis"]), "region": region.aws_region}
    tables = {"leases": names.leases_table(name), "ledger": names.ledger_table(name)}
    s3 = {"endpoint": endpoint(site.ports["s3"]), "bucket": names.bucket(name)}
    exchange = {"exchange": names.EXCHANGE_BUCKET, "exchange_prefix": names.exchange_prefix(name)}
    return {
        "kinesis": {**aws, "stream": names.stream(name), **_keys(known.aws)},
        "dynamodb": {**aws, **tables, **_keys(known.aws)},
        "s3": {**s3, **exchange, **_keys(known.s3)},
        "redis": {"url": redis_url(site, name)},
        "postgres": {
            "dsn": dsn(site, name, known.postgres, names.fleet_database(name)),
            "privacy_dsn": dsn(site, name, known.postgres, names.privacy_database(name)),
            "bi_dsn": bi_dsn(site, name),
        },
    }


def _world(site: Site) -> dict[str, Any]:
    known = site.secrets.world
    place = {"endpoint": endpoint(site.ports["s3"]), "bucket": names.EXCHANGE_BUCKET}
    own = dsn(site, WORLD, known.postgres, names.fleet_database(WORLD))
    return {"s3": {**place, **_keys(known.s3)}, "postgres": {"dsn": own, "bi_dsn": bi_dsn(site, WORLD)}}


def _keys(keys: Keys | None) -> dict[str, str | None]:
    return {"access_key": keys.access_key if keys else None, "secret_key": keys.secret_key if keys else None}


def _figures(site: Site, region: Region, services: dict[str, str]) -> dict[str, Any]:
    """Backlog and counts of a region. Figures of a store that is down or fails are None, with a problem."""
    from botocore.exceptions import BotoCoreError, ClientError
    from psycopg import Error as PostgresError
    from redis import RedisError

    failures = (BotoCoreError, ClientError, PostgresError, RedisError)
    keys = site.secrets.regions[region.name].aws
    problems: list[str] = []

    def ask(service: str, question: Callable[[], Any]) -> Any:
        if services[service] != "up":
            problems.append(f"{service} is {services[service]}")
            return None
        try:
            return question()
        except failures as error:
            problems.append(f"{service}: {type(error).__name__}: {error}"[:300])
            return None

    backlog: Backlog | None = None
    if keys is not None:
        backlog = ask("kinesis", lambda: read_backlog(region, site.ports["kinesis"], keys, _BUDGET_S))
    counts: dict[str, int | None] = {}
    counts |= ask("kinesis", lambda: ledger_counts(site, region, _BUDGET_S)) or {}
    counts |= ask("redis", lambda: live_counts(site, region)) or {}
    counts |= ask("postgres", lambda: history_counts(site, region)) or {}
    watermark = backlog and backlog.watermark
    return {
        "lag_ms": backlog and backlog.lag_ms,
        "backlog_records": backlog and backlog.records,
        "watermark": watermark and watermark.isoformat(),
        "counts": counts,
        "problems": sorted(set(problems)),
    }
