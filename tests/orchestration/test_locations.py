"""The code locations: they load alone, fast and without a secret, and hold what DESIGN names."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml
from dagster import AssetCheckKey, AssetKey, DagsterInstance
from dagster._core.definitions.partitions.context import partition_loading_context

from contracts.errors import BadSettings, UnknownRegion
from contracts.regions import WORLD, load_regions
from orchestration.definitions import definitions
from orchestration.local.workspace import grpc_variable, write_workspace

ROOT = Path(__file__).resolve().parents[2]
LOCATIONS = [*load_regions(), WORLD]
SLOW = ("pyspark", "great_expectations", "pandas", "dbt.cli", "dagster_pyspark", "dagster_aws", "boto3", "pyiceberg")
MACHINE = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}


@cache
def graph(name):
    return definitions(name).get_repository_def().asset_graph


@pytest.mark.parametrize("name", ["eu", WORLD])
def test_a_location_loads_without_a_secret_a_connection_or_a_slow_import(name):
    watch = (
        "import sys, json, socket\n"
        "def refuse(*a, **k): raise AssertionError('definitions opened a connection')\n"
        "socket.socket.connect = refuse\n"
        "import orchestration.location as location\n"
        "location.defs.get_repository_def()\n"
        f"print(json.dumps([m for m in {SLOW!r} if m in sys.modules]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", watch],
        env=MACHINE | {"FLEETLAKE_REGION": name},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize("name", ["us", WORLD])
def test_dagster_validates_a_location(name, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-m", "orchestration.location"],
        env=MACHINE | {"FLEETLAKE_REGION": name, "DAGSTER_HOME": str(tmp_path), "DAGSTER_DISABLE_TELEMETRY": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", list(load_regions()))
def test_a_region_has_the_stages_of_the_design_and_nothing_of_another_region(name):
    keys = {key.to_user_string() for key in graph(name).get_all_asset_keys()}

    derived = ["trip", "device_day", "episode", "fault_day"]
    stages = ["landing", "history", "history_day", *derived, *(f"staging/{table}" for table in derived)]
    marts = ["marts/dim_device", "marts/trip", "marts/device_day", "marts/fleet_day", "release/utilisation_day"]
    assert {f"{name}/{stage}" for stage in stages + marts} <= keys
    assert all(key.startswith(f"{name}/") for key in keys)


def test_lineage_leads_from_a_mart_back_to_landing():
    found = graph("eu")
    upstream = found.get_ancestor_asset_keys(AssetKey(["eu", "marts", "device_day"]))

    for stage in (["staging", "device_day"], ["device_day"], ["history_day"], ["history"], ["landing"]):
        assert AssetKey(["eu", *stage]) in upstream


def test_world_reads_the_exchange_and_builds_its_marts_from_it():
    found = graph(WORLD)

    assert AssetKey([WORLD, "exchange"]) in found.get_ancestor_asset_keys(AssetKey([WORLD, "marts", "utilisation_day"]))


def test_dbt_s_tests_are_checks_on_its_models():
    checks = {key.asset_key for key in graph("eu").asset_check_keys}

    assert {AssetKey(["eu", "marts", mart]) for mart in ("trip", "device_day", "fleet_day")} <= checks


@pytest.mark.parametrize("name", ["eu", WORLD])
def test_every_check_says_what_it_checks(name):
    found = graph(name)
    assert [key for key in found.asset_check_keys if not found.get_check_spec(key).description] == []


def test_a_dbt_test_is_described_by_its_rule_and_its_column():
    key = AssetCheckKey(AssetKey(["eu", "marts", "device_day"]), "not_negative_device_day_records")

    assert graph("eu").get_check_spec(key).description == "`records` is not negative. `records`: Records of the day."


def test_every_asset_that_is_made_says_who_owns_it_what_it_is_and_what_its_columns_are():
    found = graph("eu")
    for key in found.materializable_asset_keys:
        node = found.get(key)
        assert node.owners, key
        assert node.description, key
        assert node.kinds, key
        assert node.group_name != "default", key
        assert node.code_version, key
        assert "dagster/table_name" in node.metadata, key


def test_columns_carry_units_and_privacy():
    schema = graph("eu").get(AssetKey(["eu", "device_day"])).metadata["dagster/column_schema"]
    columns = {column.name: column for column in schema.columns}

    assert columns["distance_gps_km"].tags == {"privacy": "behaviour", "unit": "km"}
    assert columns["device_id"].tags == {"privacy": "identifier"}


def test_the_workspace_names_every_region_and_world_once(tmp_path):
    project, written = ROOT / "workspace.yaml", write_workspace(LOCATIONS, tmp_path / "workspace.yaml")
    assert yaml.safe_load(written.read_text()) == yaml.safe_load(project.read_text())
    entries = [entry["grpc_server"] for entry in yaml.safe_load(project.read_text())["load_from"]]

    assert [entry["location_name"] for entry in entries] == LOCATIONS
    assert [entry["port"]["env"] for entry in entries] == [grpc_variable(name) for name in LOCATIONS]
    assert {entry["host"] for entry in entries} == {"127.0.0.1"}


def test_a_location_without_a_region_or_of_none_that_exists_says_so():
    with pytest.raises(BadSettings, match="FLEETLAKE_REGION"):
        definitions(None)
    with pytest.raises(UnknownRegion, match="mars"):
        definitions("mars")


def test_partitions_map_along_every_edge_both_ways(tmp_path):
    found = graph("eu")
    with (
        DagsterInstance.local_temp(str(tmp_path)) as instance,
        partition_loading_context(dynamic_partitions_store=instance),
    ):
        edges = 0
        for key in found.get_all_asset_keys():
            for upstream in found.get(key).parent_keys:
                if found.get(key).is_partitioned and found.get(upstream).is_partitioned:
                    assert_maps(found, upstream, key)
                    edges += 1
    assert edges > 5


def test_an_edge_whose_mapping_is_not_the_usual_one_is_of_an_asset_that_is_made():
    found = graph("eu")

    assert found.get(AssetKey(["eu", "history_day"])).partition_mappings
    for key in found.get_all_asset_keys():
        assert found.get(key).is_materializable or not found.get(key).partition_mappings


def assert_maps(found, upstream, downstream):
    """Both directions of one edge, from the newest partition on each side."""
    above, below = found.get(upstream).partitions_def, found.get(downstream).partitions_def
    mapping = found.get_partition_mapping(downstream, parent_asset_key=upstream)
    newest_above, newest_below = (
        definition.subset_with_partition_keys([definition.get_last_partition_key()]) for definition in (above, below)
    )
    up = mapping.get_upstream_mapped_partitions_result_for_partitions(newest_below, below, above)
    assert len(up.partitions_subset) == 1
    assert not mapping.get_downstream_partitions_for_partitions(newest_above, above, below).is_empty
