"""How dbt is called: what a process of dbt is told, and what it is not."""

import json
import subprocess
from datetime import date
from typing import Any

import pytest

from contracts.derived import DEVICE_DAY, DEVICE_TYPES, EPISODE, FAULT_DAY, TRIP, UTILISATION_DAY
from contracts.regions import WORLD, load_regions
from contracts.settings import RegionSettings
from marts import dbt

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


def test_a_window_is_the_days_that_are_due_and_no_days_are_no_window_of_everything():
    days = [date(2026, 3, 30), date(2026, 3, 2), date(2026, 3, 30)]
    assert json.loads(dbt.window_arguments(days)[1]) == {"days": ["2026-03-02", "2026-03-30"]}
    assert json.loads(dbt.window_arguments([])[1]) == {"days": []}


def test_each_region_has_a_manifest_of_its_own():
    names = [*load_regions(), WORLD]
    assert len({dbt.manifest_path(name) for name in names}) == len(names)
    assert {dbt.target(name) for name in names} == {"region", WORLD}


@pytest.fixture(scope="module")
def manifests(tmp_path_factory) -> dict[str, dict[str, Any]]:
    """What dbt makes of the project for one region and for world, with no database and no secret."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("us", WORLD)}
    for name, folder in folders.items():
        command, variables = dbt.parse_command(name)
        command[command.index("--target-path") + 1] = command[command.index("--log-path") + 1] = str(folder)
        done = subprocess.run(command, env=dict(variables), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
    return {name: json.loads((folder / "manifest.json").read_text()) for name, folder in folders.items()}


def models(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "model"}


@pytest.mark.parametrize(
    ("name", "marts"),
    [
        (
            "us",
            {
                "dim_device",
                "dim_fleet",
                "dim_fault_code",
                "dim_calendar",
                "device_day",
                "device_hour",
                "device_month",
                "driver_day",
                "maintenance_due",
                "trip",
                "idling_event",
                "fuel_event",
                "fault_episode",
                "fleet_day",
                "fleet_type_day",
                "utilisation_month",
                "data_completeness_day",
            },
        ),
        (WORLD, {"utilisation_day", "daily_total"}),
    ],
)
def test_each_target_has_its_own_models_in_its_own_database(manifests, name, marts):
    found = models(manifests[name])
    assert {model for model, node in found.items() if node["schema"] == "marts"} == marts
    assert {node["database"] for node in found.values()} == {f"fleet_{name}"}
    assert not [model for model, node in found.items() if not node["description"]]


def test_every_mart_has_a_contract_and_a_unit_test(manifests):
    for manifest in manifests.values():
        marts = {name: node for name, node in models(manifest).items() if node["schema"] == "marts"}
        tested = {test["model"] for test in manifest["unit_tests"].values()}
        assert not marts.keys() - tested
        assert not [name for name, node in marts.items() if not node["config"]["contract"]["enforced"]]
        assert not [name for name, node in marts.items() if node["config"]["full_refresh"] is not False]


@pytest.mark.parametrize(
    ("name", "table", "columns"),
    [
        ("us", "trip", TRIP),
        ("us", "device_day", DEVICE_DAY),
        ("us", "episode", EPISODE),
        ("us", "fault_day", FAULT_DAY),
        (WORLD, "utilisation_day", UTILISATION_DAY),
    ],
)
def test_sources_and_staging_models_have_the_columns_of_the_contract(manifests, name, table, columns):
    source = manifests[name]["sources"][f"source.fleetlake.staging.{table}"]
    assert [*source["columns"]] == [*(column.name for column in columns), "loaded_at"]
    assert all(source["columns"][column.name]["description"].startswith(column.doc) for column in columns)
    words = models(manifests[name])[f"stg_{table}"]["raw_code"].replace(",", " ").split()
    assert not [column.name for column in columns if column.name not in words]


def test_the_vocabulary_of_device_types_is_the_contracts(manifests):
    vocabularies = {
        name: test["test_metadata"]["kwargs"]["values"]
        for name, manifest in manifests.items()
        for test in manifest["nodes"].values()
        if test["resource_type"] == "test"
        and test["config"]["enabled"]
        and test["test_metadata"]["name"] == "accepted_values"
        and test["column_name"] == "device_type"
    }
    assert vocabularies == {"us": [*DEVICE_TYPES], WORLD: ["all", *DEVICE_TYPES]}
