"""Whose a secret is, as far as its own text says, and whose a device: what a process of a region must not have."""

import hmac
import re
from collections.abc import Collection, Mapping
from hashlib import sha256
from urllib.parse import urlsplit

from contracts import names
from contracts.errors import BadRegionTable
from contracts.regions import WORLD, load_regions

_DBNAME = re.compile(r"(?:^|\s)dbname\s*=\s*'?([^\s']+)")


def away_key(release_key: str) -> bytes:
    """The key under which a region remembers devices whose home is elsewhere: it keeps none of their ids."""
    return hmac.digest(release_key.encode(), b"home of devices", sha256)


def away_hash(key: bytes, device_id: str) -> bytes:
    """What stands for such a device in registry.away_device."""
    return hmac.digest(key, device_id.encode(), sha256)


def others_secrets(region: str, dsns: Mapping[str, str], redis_url: str = "", bucket: str = "") -> list[str]:
    """What is wrong with the settings of a process of `region`: a sentence for each that is another region's.

    dsns: of Postgres, by the setting's name. Names no secret. A name that says nothing of a region is not refused here:
    the store refuses its keys.
    """
    others = _known() - {region}
    databases = {name: _database(dsn) for name, dsn in dsns.items()}
    found = [(name, f"opens database {one}", _database_of(one, others)) for name, one in databases.items()]
    found.append(("redis_url", "logs in as the user of that name", _one_of(urlsplit(redis_url).username, others)))
    of_bucket = next((other for other in others if bucket == names.bucket(other)), None)
    found.append(("lake_bucket", f"is {bucket}", of_bucket))
    return [f"{name.upper()} {what}, which is region {other}'s" for name, what, other in found if other is not None]


def _known() -> set[str]:
    try:
        return {*load_regions(), WORLD}
    except BadRegionTable:  # whoever needs the table says so
        return {WORLD}


def _database(dsn: str) -> str:
    """The database that a DSN opens, as a URL or as libpq's words; empty where it says none."""
    if "://" in dsn:
        return urlsplit(dsn).path.lstrip("/")
    found = _DBNAME.search(dsn)
    return found[1] if found else ""


def _database_of(database: str, others: Collection[str]) -> str | None:
    return next(
        (other for other in others if database in (names.fleet_database(other), names.privacy_database(other))), None
    )


def _one_of(name: str | None, others: Collection[str]) -> str | None:
    return name if name in others else None
