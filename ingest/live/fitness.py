"""Whether a Redis can hold live state: what INFO says of eviction, cluster mode, role and version."""

from collections.abc import Mapping
from typing import NamedTuple

_OLDEST = (6, 2)
"""ZADD with GT, which keeps a device's latest arrival."""
_KEEPS_ALL = "noeviction"
_EVICTS_MARKED = "volatile-"


class Fitness(NamedTuple):
    """What speaks against a server. Texts say what to do."""

    unfit: str | None = None
    """Live state would be wrong, or cannot be written at all: nothing is written."""
    warning: str | None = None
    evicted: bool = False
    """Keys of live state may be gone, the guards against older records among them."""


def fitness_of(info: Mapping[str, object]) -> Fitness:
    """Judge a server by its INFO; what that does not say is taken to be right."""
    if str(info.get("cluster_enabled", 0)) == "1" or info.get("redis_mode") == "cluster":
        return Fitness(
            "it is in cluster mode, whose scripts cannot touch keys of several slots: use a replication group with "
            "cluster mode off (not ElastiCache Serverless or MemoryDB)"
        )
    if (version := _version(str(info.get("redis_version", "")))) and version < _OLDEST:
        return Fitness(f"it is Redis {info['redis_version']}; live state needs 6.2 or newer, or Valkey")
    if info.get("role") == "slave":
        return Fitness("it is a replica: point FLEETLAKE_REDIS_URL at the primary's endpoint, which follows a failover")
    return _by_policy(str(info.get("maxmemory_policy") or _KEEPS_ALL), int(str(info.get("evicted_keys") or 0)))


def _by_policy(policy: str, evicted_keys: int) -> Fitness:
    if policy == _KEEPS_ALL:
        return Fitness()
    if policy.startswith(_EVICTS_MARKED):
        return Fitness(
            warning=f"its maxmemory-policy is {policy}: once it is full it may evict the counters of writes, and "
            f"live state is rebuilt for nothing; set {_KEEPS_ALL}"
        )
    return Fitness(
        f"its maxmemory-policy is {policy}: it may evict a device's newest record, and with it the guard against an "
        f"older one; set {_KEEPS_ALL} (in ElastiCache by a parameter group). Landing goes on meanwhile",
        evicted=evicted_keys > 0,
    )


def _version(text: str) -> tuple[int, ...]:
    parts = text.split(".")[:2]
    return tuple(map(int, parts)) if all(part.isdigit() for part in parts) else ()
