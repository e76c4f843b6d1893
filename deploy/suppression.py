"""A copy of the suppression list beside the backups, so that a restored database lets nobody back in.

The list holds keyed hashes, no identifier. `python -m deploy.suppression restore` enters what privacy_R lacks.
"""

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from contracts.errors import Misuse
from contracts.names import SUPPRESSION_COPIES
from contracts.settings import RegionSettings

if TYPE_CHECKING:
    import psycopg

_VERSION = "select max(version) from privacy.suppression"
_ALL = """
select encode(device_hmac, 'hex'), since, from_ts, to_ts from privacy.suppression
where lifted_at is null order by version
"""
_ENTER = """
insert into privacy.suppression (device_hmac, since, from_ts, to_ts) values (decode(%s, 'hex'), %s, %s, %s)
on conflict (device_hmac, coalesce(from_ts, '-infinity'), coalesce(to_ts, 'infinity')) do nothing
"""


class Suppressed(msgspec.Struct, frozen=True, kw_only=True):
    """One entry."""

    device_hmac: str
    since: datetime
    from_ts: datetime | None = None
    """Records of event times from here on; of any time before where None."""
    to_ts: datetime | None = None
    """... and before this."""


def save(connection: "psycopg.Connection[Any]", s3: Any, bucket: str) -> str | None:
    """Keep the list as it is now, once for each of its versions; the object's key, None where the list is empty."""
    (version,) = connection.execute(_VERSION.encode()).fetchone() or (None,)
    if version is None:
        return None
    key = f"{SUPPRESSION_COPIES}{version:012d}.json"
    rows = connection.execute(_ALL.encode()).fetchall()
    entries = [Suppressed(device_hmac=digest, since=at, from_ts=start, to_ts=end) for digest, at, start, end in rows]
    s3.put_object(Bucket=bucket, Key=key, Body=msgspec.json.encode(entries))
    return key


def restore(connection: "psycopg.Connection[Any]", s3: Any, bucket: str) -> int:
    """Enter every device of the newest copy that the list lacks; how many it lacked."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=SUPPRESSION_COPIES)
    keys = sorted(one["Key"] for page in pages for one in page.get("Contents", []))
    if not keys:
        return 0
    body = s3.get_object(Bucket=bucket, Key=keys[-1])["Body"].read()
    entered = 0
    for entry in msgspec.json.decode(body, type=list[Suppressed]):
        values = [entry.device_hmac, entry.since, entry.from_ts, entry.to_ts]
        entered += connection.execute(_ENTER.encode(), values).rowcount
    return entered


def s3_of(settings: RegionSettings) -> Any:
    """A client of the region's lake."""
    import boto3

    return boto3.client("s3", **settings.s3.client_kwargs(settings.row.aws_region))


def main(word: str) -> None:
    """`save` or `restore`. Raises Misuse."""
    import psycopg

    settings = RegionSettings.load()
    with psycopg.connect(settings.privacy_dsn.get_secret_value()) as connection:
        if word == "save":
            sys.stdout.write(f"{save(connection, s3_of(settings), settings.bucket) or 'the list is empty'}\n")
        elif word == "restore":
            sys.stdout.write(f"{restore(connection, s3_of(settings), settings.bucket)} devices entered again\n")
        else:
            raise Misuse(f"{word} is neither save nor restore")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
