"""Buckets, and who may do what in them."""

from collections.abc import Mapping
from typing import Any

from contracts import names
from contracts.regions import Region
from stack.credentials import Keys, Secrets


def s3_identities(secrets: Secrets, regions: Mapping[str, Region]) -> dict[str, Any]:
    """SeaweedFS's identities: a region has its bucket and its prefix of the exchange; world reads the exchange."""
    exchange = names.EXCHANGE_BUCKET
    world = _identity("world", secrets.world.s3, [f"Read:{exchange}", f"List:{exchange}"])
    own = [_identity(name, secrets.regions[name].s3, _region_actions(name)) for name in sorted(regions)]
    return {"identities": [_identity("admin", secrets.s3_admin, ["Admin"]), world, *own]}


def make_buckets(client: Any, regions: Mapping[str, Region]) -> None:
    """The exchange and each region's bucket."""
    wanted = {names.EXCHANGE_BUCKET, *map(names.bucket, regions)}
    present = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    for bucket in sorted(wanted - present):
        client.create_bucket(Bucket=bucket)


def _region_actions(region: str) -> list[str]:
    bucket, prefix = names.bucket(region), f"{names.EXCHANGE_BUCKET}/{names.exchange_prefix(region)}*"
    return [f"{verb}:{place}" for place in (bucket, prefix) for verb in ("Read", "Write", "List")]


def _identity(name: str, keys: Keys, actions: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "credentials": [{"accessKey": keys.access_key, "secretKey": keys.secret_key}],
        "actions": actions,
    }
