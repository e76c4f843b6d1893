"""Counts of a region, each read from the store that holds it."""

import time
from collections.abc import Iterator
from typing import Any

from contracts import names
from contracts.ledger import LedgerEntry, ledger_entry
from contracts.ports import HOST
from contracts.regions import Region
from stack.clients import aws_client
from stack.provision.postgres import connect
from stack.site import Site

_HISTORY = """
select (select count(*) from registry.device) as devices,
       (select coalesce(sum(inserted), 0) from ops.merge)::bigint as history,
       (select coalesce(sum(duplicates), 0) from ops.merge)::bigint as duplicates,
       (select coalesce(sum(rows), 0) from ops.applied where target = 'staging')::bigint as staged,
       (select coalesce(sum(records), 0) from ops.acknowledged)::bigint as acknowledged
"""


def ledger_counts(site: Site, region: Region, budget_s: float) -> dict[str, int | None]:
    """Sums over the ledger of user records by outcome, of the entries that it still has. All None where reading it
    takes too long.

    Raises botocore's errors.
    """
    sums = dict.fromkeys(("user_records", "landed", "rejected", "suppressed", "objects"), 0)
    deadline = time.monotonic() + budget_s
    for entry in _entries(site, region):
        if time.monotonic() > deadline:
            return dict.fromkeys(sums)
        sums["user_records"] += entry.user_records
        sums["landed"] += entry.landed
        sums["rejected"] += entry.rejected_total
        sums["suppressed"] += entry.suppressed
        sums["objects"] += len(entry.objects)
    return dict(sums)


def live_counts(site: Site, region: Region) -> dict[str, int | None]:
    """Devices with live state. Raises redis.RedisError."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    client = redis.Redis(
        HOST,
        site.ports["redis"],
        username=region.name,
        password=site.secrets.regions[region.name].redis,
        socket_timeout=3,
        socket_connect_timeout=2,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        return {"live_devices": int(client.zcard(names.redis_seen(region.name)))}
    finally:
        client.close()


def history_counts(site: Site, region: Region) -> dict[str, int | None]:
    """Registered devices, rows merged into history, duplicates, rows staged for the marts, and records that the gateway
    acknowledged. Raises psycopg.Error.
    """
    password = site.secrets.regions[region.name].postgres
    with connect(site, region.name, password, names.fleet_database(region.name)) as connection:
        found = connection.execute(_HISTORY).fetchone()
    return dict(zip(("devices", "history", "duplicates", "staged", "acknowledged"), found or (), strict=False))


def _entries(site: Site, region: Region) -> Iterator[LedgerEntry]:
    keys = site.secrets.regions[region.name].aws
    if keys is None:
        return
    dynamodb: Any = aws_client("dynamodb", site.ports["kinesis"], keys, region.aws_region)
    for page in dynamodb.get_paginator("scan").paginate(TableName=names.ledger_table(region.name)):
        yield from map(ledger_entry, page["Items"])
