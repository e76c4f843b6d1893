"""S3 buckets, and the permissions on them."""

from collections.abc import Mapping
from typing import Any

from contracts import names
from contracts.regions import Region
from stack.credentials import Keys, Secrets

_PROBE_BUCKET, _PROBE = "stack-probe", "kept"


def s3_identities(secrets: Secrets, regions: Mapping[str, Region]) -> dict[str, Any]:
    """SeaweedFS's identities: a region has its bucket and its prefix of the exchange; world reads the exchange."""
    exchange = names.EXCHANGE_BUCKET
    world = _identity("world", secrets.world.s3, [f"Read:{exchange}", f"List:{exchange}"])
    own = [_identity(name, secrets.regions[name].s3, _region_actions(name)) for name in sorted(regions)]
    return {"identities": [_identity("admin", secrets.s3_admin, ["Admin"]), world, *own]}


def make_buckets(client: Any, regions: Mapping[str, Region]) -> None:
    """Create the exchange, each region's bucket, and a probe object in a bucket that only the stack may read."""
    wanted = {names.EXCHANGE_BUCKET, _PROBE_BUCKET, *map(names.bucket, regions)}
    present = _names(client)
    for bucket in sorted(wanted - present):
        client.create_bucket(Bucket=bucket)
    if _PROBE not in _keys(client, _PROBE_BUCKET):
        client.put_object(Bucket=_PROBE_BUCKET, Key=_PROBE, Body=b"kept")


def read_probe(client: Any) -> None:
    """Read the probe object of an earlier start: listing works seconds before objects can be read.

    Does nothing where there is none yet. Raises botocore's errors.
    """
    if _PROBE_BUCKET in _names(client):
        for key in _keys(client, _PROBE_BUCKET):
            client.get_object(Bucket=_PROBE_BUCKET, Key=key)["Body"].read()


def _names(client: Any) -> set[str]:
    return {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}


def _keys(client: Any, bucket: str) -> set[str]:
    return {found["Key"] for found in client.list_objects_v2(Bucket=bucket).get("Contents", [])}


def _region_actions(region: str) -> list[str]:
    bucket, prefix = names.bucket(region), f"{names.EXCHANGE_BUCKET}/{names.exchange_prefix(region)}*"
    return [f"{verb}:{place}" for place in (bucket, prefix) for verb in ("Read", "Write", "List")]


def _identity(name: str, keys: Keys, actions: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "credentials": [{"accessKey": keys.access_key, "secretKey": keys.secret_key}],
        "actions": actions,
    }
