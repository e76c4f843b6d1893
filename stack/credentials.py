"""The secrets of one stack: generated once and kept in one file that only its owner may read."""

import secrets
from pathlib import Path
from typing import Self

import msgspec

from contracts.regions import Region
from stack.layout import Layout
from stack.private_files import write_private


class Keys(msgspec.Struct, frozen=True):
    """An access key and its secret."""

    access_key: str
    secret_key: str

    @classmethod
    def new(cls) -> Self:
        """Random keys in the format of AWS."""
        return cls("AK" + secrets.token_hex(9).upper(), secrets.token_urlsafe(30))


def _secret() -> str:
    return secrets.token_urlsafe(24)


class RegionSecrets(msgspec.Struct, kw_only=True):
    """The secrets of one region's processes. `aws` is created by IAM when the region is provisioned."""

    s3: Keys = msgspec.field(default_factory=Keys.new)
    redis: str = msgspec.field(default_factory=_secret)
    postgres: str = msgspec.field(default_factory=_secret)
    release_key: str = msgspec.field(default_factory=lambda: secrets.token_hex(32))
    aws: Keys | None = None
    credential_key: str = ""
    """Key of the HMAC that device tokens are kept as; empty until the next `up` of an older stack."""
    bi_reader: str = ""
    """Password of the region's role for BI tools; empty until the next `up` of an older stack."""


class WorldSecrets(msgspec.Struct, kw_only=True):
    """The secrets of the world pipeline."""

    s3: Keys = msgspec.field(default_factory=Keys.new)
    postgres: str = msgspec.field(default_factory=_secret)
    bi_reader: str = ""


class Secrets(msgspec.Struct, kw_only=True):
    """Every secret of a stack."""

    s3_admin: Keys = msgspec.field(default_factory=Keys.new)
    s3_write_token: str = msgspec.field(default_factory=_secret)
    s3_read_token: str = msgspec.field(default_factory=_secret)
    aws_root: Keys = msgspec.field(default_factory=Keys.new)
    redis_admin: str = msgspec.field(default_factory=_secret)
    postgres_admin: str = msgspec.field(default_factory=_secret)
    dagster: str = msgspec.field(default_factory=_secret)
    world: WorldSecrets = msgspec.field(default_factory=WorldSecrets)
    regions: dict[str, RegionSecrets] = {}


def load(layout: Layout) -> Secrets | None:
    """The stack's secrets; None where there are none yet."""
    try:
        return msgspec.json.decode(layout.credentials.read_bytes(), type=Secrets)
    except FileNotFoundError:
        return None


def load_or_make(layout: Layout, regions: dict[str, Region]) -> Secrets:
    """The stack's secrets, with new ones for every region that has none yet."""
    known = load(layout) or Secrets()
    for name in regions:
        own = known.regions.setdefault(name, RegionSecrets())
        own.credential_key = own.credential_key or secrets.token_hex(32)
        own.bi_reader = own.bi_reader or _secret()
    known.world.bi_reader = known.world.bi_reader or _secret()
    save(layout.credentials, known)
    return known


def save(path: Path, known: Secrets) -> None:
    """Save the secrets with mode 0600."""
    write_private(path, msgspec.json.format(msgspec.json.encode(known)).decode())
