"""Environments of processes: one region's endpoints and credentials, and nothing of any other region."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from contracts import names
from contracts.errors import StackDown
from contracts.ports import HOST
from contracts.regions import WORLD, find_region
from contracts.settings import PREFIX, RegionSettings
from stack.clients import endpoint
from stack.credentials import Keys
from stack.lifecycle import known_regions, running_site
from stack.provision.postgres import DAGSTER
from stack.site import Site

_SET_BY_THE_STACK = frozenset({"region", "kinesis", "dynamodb", "s3", "state", "lake_bucket", "exchange_bucket"})


def _tunable(fields: Mapping[str, FieldInfo], prefix: str) -> Iterator[str]:
    """Names of the variables of these settings, without those that hold a secret."""
    for name, field in fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _tunable(kind.model_fields, f"{prefix}{name.upper()}_")
        elif "SecretStr" not in repr(kind):
            yield prefix + name.upper()


TUNING: tuple[str, ...] = tuple(
    _tunable(
        {name: field for name, field in RegionSettings.model_fields.items() if name not in _SET_BY_THE_STACK}, PREFIX
    )
)
"""Variables that a caller may set for the processes of every region. None of them is a secret."""


def region_environment(state: Path, region: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The FLEETLAKE_* variables of a process of that region, with the caller's tuning.

    Raises UnknownRegion, or StackDown where the stack is not up or the region was added to the table after its `up`.
    """
    site = running_site(state)
    row = find_region(region, known_regions(state))
    if row.name not in site.regions:
        raise StackDown(f"region {row.name} is new in {site.regions_file}; run 'fleetlake up'")
    known = site.secrets.regions[row.name]
    return {
        **_common(site, row.name, environ),
        **_aws(site, "KINESIS", known.aws),
        **_aws(site, "DYNAMODB", known.aws),
        **_keys("S3", endpoint(site.ports["s3"]), known.s3),
        "FLEETLAKE_REDIS_URL": redis_url(site, row.name),
        "FLEETLAKE_POSTGRES_DSN": dsn(site, row.name, known.postgres, names.fleet_database(row.name)),
        "FLEETLAKE_PRIVACY_DSN": dsn(site, row.name, known.postgres, names.privacy_database(row.name)),
        "FLEETLAKE_RELEASE_KEY": known.release_key,
        **({"FLEETLAKE_GATEWAY_CREDENTIAL_KEY": known.credential_key} if known.credential_key else {}),
    }


def world_environment(state: Path, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The FLEETLAKE_* variables of a process of the world pipeline: it reads the exchange, and has a database."""
    site = running_site(state)
    known = site.secrets.world
    return {
        **_common(site, WORLD, environ),
        **_keys("S3", endpoint(site.ports["s3"]), known.s3),
        "FLEETLAKE_POSTGRES_DSN": dsn(site, WORLD, known.postgres, names.fleet_database(WORLD)),
    }


def dagster_environment(state: Path) -> dict[str, str]:
    """Where Dagster keeps its runs and its configuration, without any region's credentials."""
    site = running_site(state)
    return {
        "FLEETLAKE_DAGSTER_DSN": dsn(site, DAGSTER, site.secrets.dagster, DAGSTER),
        "DAGSTER_HOME": str(site.layout.dagster_home),
    }


def bi_dsn(site: Site, region: str) -> str:
    """The DSN for BI tools: it may read the marts of that region (or of `world`)."""
    known = site.secrets.world if region == WORLD else site.secrets.regions[region]
    return dsn(site, names.bi_reader(region), known.bi_reader, names.fleet_database(region))


def redis_url(site: Site, region: str) -> str:
    """The Redis URL of the region's user."""
    return f"redis://{region}:{quote(site.secrets.regions[region].redis)}@{HOST}:{site.ports['redis']}/0"


def dsn(site: Site, user: str, password: str, database: str) -> str:
    """A Postgres URL."""
    return f"postgresql://{user}:{quote(password)}@{HOST}:{site.ports['postgres']}/{database}"


def _common(site: Site, region: str, environ: Mapping[str, str] | None) -> dict[str, str]:
    caller = os.environ if environ is None else environ
    return {
        **{name: caller[name] for name in TUNING if name in caller},
        "FLEETLAKE_REGION": region,
        "FLEETLAKE_STATE": str(site.layout.root),
        "FLEETLAKE_REGIONS_FILE": str(site.regions_file),
    }


def _aws(site: Site, service: str, keys: Keys | None) -> dict[str, str]:
    return {} if keys is None else _keys(service, endpoint(site.ports["kinesis"]), keys)


def _keys(service: str, url: str, keys: Keys) -> dict[str, str]:
    return {
        f"FLEETLAKE_{service}_ENDPOINT": url,
        f"FLEETLAKE_{service}_ACCESS_KEY": keys.access_key,
        f"FLEETLAKE_{service}_SECRET_KEY": keys.secret_key,
    }
