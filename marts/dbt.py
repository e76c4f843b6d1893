"""How the dbt project is called: its targets, its environment, and one manifest a region.

dbt_project/profiles.yml has two targets, `region` and `world`; everything that differs between regions comes from
the environment, so a new region needs no line there. Manifests differ in the database's name and are kept apart.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from contracts import names
from contracts.regions import WORLD, find_region
from contracts.settings import RegionSettings, WorldSettings

PROJECT: Path = Path(__file__).resolve().parent.parent / "dbt_project"
"""The dbt project's folder."""

EXECUTABLE: Path = Path(sys.executable).with_name("dbt")
"""dbt of this Python: what PATH finds may be another."""


def target(region: str) -> str:
    """The target of profiles.yml for a region (or `world`)."""
    return WORLD if region == WORLD else "region"


def target_path(region: str) -> Path:
    """Folder of the region's manifest, relative to the project."""
    return Path("target") / region


def manifest_path(region: str) -> Path:
    """The region's prepared manifest."""
    return PROJECT / target_path(region) / "manifest.json"


def window_arguments(days: Iterable[date]) -> list[str]:
    """dbt's arguments to build these business days and no other.

    Without days, the window is empty: dbt builds only the models that have no days (devices, calendar). A build
    without these arguments replaces every day.
    """
    return ["--vars", json.dumps({"days": [day.isoformat() for day in sorted(set(days))]})]


def dbt_environment(settings: RegionSettings | WorldSettings) -> dict[str, str]:
    """The variables that profiles.yml and the models read, for the environment of a dbt process.

    The password has dbt's own prefix for secrets, which dbt masks in its logs.
    """
    parts = conninfo_to_dict(settings.postgres_dsn.get_secret_value())
    environment = offline_environment(settings.region) | {
        "FLEETLAKE_PG_HOST": str(parts["host"]),
        "FLEETLAKE_PG_PORT": str(parts.get("port", 5432)),
        "FLEETLAKE_PG_USER": str(parts["user"]),
        "FLEETLAKE_PG_DATABASE": str(parts["dbname"]),
        "FLEETLAKE_PG_SSLMODE": str(parts.get("sslmode", "prefer")),
        "DBT_ENV_SECRET_FLEETLAKE_PG_PASSWORD": str(parts.get("password", "")),
    }
    if isinstance(settings, RegionSettings):
        environment["FLEETLAKE_RELEASE_DELAY_DAYS"] = str(settings.release_delay_days)
    return environment


def offline_environment(region: str) -> dict[str, str]:
    """The variables that parsing needs: no endpoint, no secret."""
    return {
        "FLEETLAKE_REGION": region,
        "FLEETLAKE_TIME_ZONE": "UTC" if region == WORLD else find_region(region).time_zone,
        "FLEETLAKE_PG_DATABASE": names.fleet_database(region),
        "DBT_PROFILES_DIR": str(PROJECT),
        "DBT_PROJECT_DIR": str(PROJECT),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


def parse_command(region: str) -> tuple[list[str], Mapping[str, str]]:
    """The command, and its variables, that writes `manifest_path(region)`; it needs no database."""
    folder = str(PROJECT / target_path(region))
    command = [str(EXECUTABLE), "parse", "--target", target(region), "--target-path", folder, "--log-path", folder]
    return command, offline_environment(region)
