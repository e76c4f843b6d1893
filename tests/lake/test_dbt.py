"""How dbt is called: what a process of dbt is told, and what it is not."""

import json
import subprocess
from datetime import date

from contracts.regions import WORLD, load_regions
from contracts.settings import RegionSettings
from lake import dbt

SETTINGS = RegionSettings.load(
    {
        "FLEETLAKE_REGION": "us",
        "FLEETLAKE_REDIS_URL": "redis://:redis-secret@127.0.0.1",
        "FLEETLAKE_POSTGRES_DSN": "postgresql://us:p%40ss@127.0.0.1:6432/fleet_us",
        "FLEETLAKE_PRIVACY_DSN": "postgresql://us:privacy-secret@127.0.0.1:6432/privacy_us",
        "FLEETLAKE_RELEASE_KEY": "release-secret",
        "FLEETLAKE_S3_ACCESS_KEY": "access",
        "FLEETLAKE_S3_SECRET_KEY": "s3-secret",
    }
)


def test_dbt_is_given_its_database_and_no_other_secret():
    told = dbt.dbt_environment(SETTINGS)
    assert (told["FLEETLAKE_PG_HOST"], told["FLEETLAKE_PG_PORT"]) == ("127.0.0.1", "6432")
    assert told["DBT_ENV_SECRET_FLEETLAKE_PG_PASSWORD"] == "p@ss"
    assert told["FLEETLAKE_TIME_ZONE"] == "America/Chicago"
    assert not [name for name, value in told.items() if "secret" in value]


def test_a_window_goes_from_the_first_to_the_last_day_and_no_days_are_no_window_of_everything():
    days = [date(2026, 3, 4), date(2026, 3, 2)]
    assert json.loads(dbt.window_arguments(days)[1]) == {"start_day": "2026-03-02", "end_day": "2026-03-04"}
    assert json.loads(dbt.window_arguments([])[1]) == {"start_day": "0001-01-01", "end_day": "0001-01-01"}


def test_each_region_has_a_manifest_of_its_own():
    names = [*load_regions(), WORLD]
    assert len({dbt.manifest_path(name) for name in names}) == len(names)
    assert {dbt.target(name) for name in names} == {"region", WORLD}


def test_a_region_is_parsed_without_a_database_or_a_secret(tmp_path):
    command, variables = dbt.parse_command("us")
    command[command.index("--target-path") + 1] = command[command.index("--log-path") + 1] = str(tmp_path)
    done = subprocess.run(command, env=dict(variables), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    nodes = json.loads((tmp_path / "manifest.json").read_text())["nodes"].values()
    marts = {node["name"] for node in nodes if node["resource_type"] == "model" and node["schema"] == "marts"}
    assert marts == {"dim_device", "dim_calendar", "device_day", "trip", "fleet_day", "data_completeness_day"}
    assert {node["database"] for node in nodes} == {"fleet_us"}
    assert not [node["name"] for node in nodes if node["resource_type"] == "model" and not node["description"]]
