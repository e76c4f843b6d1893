"""Every place in which a region keeps something, by name; and those that hold neither a device nor a person.

An erasure, an export and the record of processing go by this list. A store that is new is on it by itself where it is a
table, a family of Redis keys or a table of history; its adapter is cli.erasables' business.
"""

import re
from collections.abc import Mapping

from contracts import ddl, names

BUCKET: tuple[str, ...] = ("s3:landing/", "s3:rejected/", "s3:replayed/", "s3:warehouse/", "s3:exports/", "s3:logs/")
"""Prefixes of the lake's bucket."""
_TABLE = re.compile(r"create table if not exists ([a-z_]+\.[a-z_]+)")
_HISTORY = ("HISTORY_TABLE", "TRIP_TABLE", "EPISODE_TABLE", "FAULT_DAY_TABLE", "DEVICE_DAY_TABLE", "MOTION_HOUR_TABLE")

_SUMS = "counts and progress by day, hour or shard"
_ACT = "what was done, by whom; devices and persons are left out or stand as keyed hashes that `complete` drops"
HOLDS_NOBODY: Mapping[str, str] = {
    "s3:warehouse/": "the files of the Iceberg tables, which have adapters of their own",
    "s3:logs/": "logs of Spark jobs: no log names a device",
    "dynamodb:leases": "positions of shards",
    "redis:epoch": "a mark of completeness",
    "redis:rebuilds": "tokens of rebuilds",
    "redis:writes": "a counter a writer",
    "redis:denied": "ids of tokens of the read API",
    "redis:gateway:cas": "certificates of fleets",
    "registry.away_device": "keyed hashes of devices at home in another region, which erases them",
    "registry.fleet": "customers' groups of devices",
    "registry.fleet_ca": "certificates of fleets",
    "registry.service_plan": "what a fleet has done to its machines, and how often",
    "registry.work_hours": "when a fleet works",
    "registry.zone": "places that a fleet drew",
    "registry.webhook": "addresses of a fleet's own systems",
    "ops.delivery": "how deliveries of events went; the events have an adapter",
    "ops.watermarks": _SUMS,
    "ops.landing_cursor": _SUMS,
    "ops.ledger_listing": _SUMS,
    "ops.set_aside": "keys of objects that cannot be read; an erasure says that it cannot read them either",
    "ops.ledger_beginning": _SUMS,
    "ops.merge": _SUMS,
    "ops.table_health": _SUMS,
    "ops.harvest_cursor": _SUMS,
    "ops.changed": _SUMS,
    "ops.changed_hour": _SUMS,
    "ops.packed_hour": _SUMS,
    "ops.derived": _SUMS,
    "ops.deriving": _SUMS,
    "ops.applied": _SUMS,
    "ops.accepted_loss": "places of the ledger or the stream",
    "ops.reconciliation": _SUMS,
    "ops.proof": _SUMS,
    "ops.proven_day": "sums of digests over all rows of a day",
    "ops.proven_object": "keys, sizes and etags of objects",
    "ops.registry_change": _SUMS,
    "ops.registry_change_of_day": _SUMS,
    "ops.acknowledged": _SUMS,
    "ops.expired": _SUMS,
    "ops.retention_run": _SUMS,
    "ops.feed_day": _SUMS,
    "privacy.suppression": "keyed hashes, kept so that what was erased does not come back (GDPR Art. 17(3)(b))",
    "privacy.requests": _ACT,
    "privacy.audit": _ACT,
}
"""Stores that an erasure leaves as they are, with the reason."""


def every_store() -> list[str]:
    """All of them: tables, Redis families, prefixes of the bucket, tables of history, DynamoDB's, the stream."""
    tables = sorted(set(_TABLE.findall(ddl.fleet() + ddl.privacy())))
    families = [_family(name) for name in vars(names) if name.startswith("redis_") and name != "redis_access_channel"]
    history = [f"iceberg:{getattr(names, name)}" for name in _HISTORY]
    return [*tables, "marts.*", *families, *BUCKET, *history, "dynamodb:leases", "dynamodb:ledger", "kinesis:telemetry"]


def _family(function: str) -> str:
    """redis_latest is `redis:latest`; what is the gateway's, `redis:gateway:...`."""
    return f"redis:{function.removeprefix('redis_').replace('access_', 'gateway:')}"
