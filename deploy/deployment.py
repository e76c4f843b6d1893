"""What a deployment chooses: accounts, sizes, limits of scaling. Read from deployment.toml, checked at once."""

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from contracts.errors import Misuse
from contracts.regions import WORLD, Region

NETWORK = "network"
_ACCOUNT = re.compile(r"\d{12}")
MOST_BACKUP_DAYS = 30
"""Backups that live longer would keep what was erased beyond the date on which its erasure counts as expired."""


class BadDeployment(Misuse):
    """deployment.toml cannot be read, or asks for what cannot be."""


class Stream(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The region's stream. day_shards 0: `stream_shards` of the region table."""

    mode: Literal["provisioned", "on-demand"] = "provisioned"
    day_shards: Annotated[int, msgspec.Meta(ge=0)] = 0
    day_from: str = "05:00"
    night_from: str = "22:00"


class Consumer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Workers: fewest and most, records a second that one is to read, and the lag that adds some by steps."""

    tasks: tuple[int, int] = (5, 40)
    records_s: int = 1_000
    lag_s: int = 60


class Gateway(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Device access: fewest and most tasks, and connections that one is to hold."""

    tasks: tuple[int, int] = (2, 30)
    connections: int = 16_000


class Serving(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The read API: fewest and most tasks, and requests a second that one is to answer."""

    tasks: tuple[int, int] = (2, 20)
    requests_s: int = 200


class Stores(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Sizes of what is not by use."""

    redis_node: str = "cache.r7g.xlarge"
    postgres_class: str = "db.r6g.xlarge"
    postgres_gib: int = 500


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Dollars a month beyond which somebody is told."""

    region_usd: int = 12_000
    world_usd: int = 500


class Deployment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole deployment, of every region of the table."""

    domain: str
    alerts: str
    identity: str
    issuer: str
    version: str
    accounts: dict[str, str]
    continents: dict[str, list[str]]
    world_aws_region: str
    network_aws_region: str
    architecture: Literal["ARM64", "X86_64"] = "ARM64"
    backup_days: Annotated[int, msgspec.Meta(ge=1, le=MOST_BACKUP_DAYS)] = 14
    stream: Stream = Stream()
    consumer: Consumer = Consumer()
    gateway: Gateway = Gateway()
    serving: Serving = Serving()
    stores: Stores = Stores()
    budget: Budget = Budget()
    settings: dict[str, str] = {}

    def account(self, of: str) -> str:
        """The account of a region, of `world` or of `network`. Raises BadDeployment."""
        number = self.accounts.get(of, "")
        if not _ACCOUNT.fullmatch(number):
            raise BadDeployment(f"deployment: accounts.{of} must be the 12 digits of an AWS account; set it")
        return number

    def lake_bucket(self, region: str) -> str:
        """A bucket's name is given once in the world, so it has the account in it."""
        return f"fleetlake-lake-{region}-{self.account(region)}"

    @property
    def exchange_bucket(self) -> str:
        """The bucket that releases cross in; it is the world's."""
        return f"fleetlake-exchange-{self.account(WORLD)}"

    def day_shards(self, region: Region) -> int:
        """Shards by day."""
        return self.stream.day_shards or region.stream_shards

    def night_shards(self, region: Region) -> int:
        """Half of them: Kinesis halves or doubles in one call."""
        return max(1, -(-self.day_shards(region) // 2))


def default_file() -> Path:
    """deployment.toml as FLEETLAKE_DEPLOYMENT_FILE names it, else the example beside this module."""
    named = os.environ.get("FLEETLAKE_DEPLOYMENT_FILE")
    return Path(named) if named else Path(__file__).resolve().parent / "deployment.toml"


def load_deployment(path: Path | None = None) -> Deployment:
    """The deployment. Raises BadDeployment where the file is missing, is not TOML, or asks for what cannot be."""
    path = path or default_file()
    try:
        found = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Deployment)
    except OSError:
        raise BadDeployment(f"no deployment at {path}; set FLEETLAKE_DEPLOYMENT_FILE to one") from None
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadDeployment(f"{path}: {error}; mend that line") from None
    for name in ("consumer", "gateway", "serving"):
        fewest, most = getattr(found, name).tasks
        if not 1 <= fewest <= most:
            raise BadDeployment(f"{path}: {name}.tasks must be [fewest, most], 1 or more; it is [{fewest}, {most}]")
    return found
