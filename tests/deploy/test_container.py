"""A task's first process refuses to start without its region, and writes the files that settings name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAY = (
    sys.executable,
    "-c",
    "import os; print(os.environ.get('FLEETLAKE_GATEWAY_KEY'), os.environ.get('FLEETLAKE_GATEWAY_KEY_PEM'))",
)
EU = {"FLEETLAKE_REGION": "eu", "AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1"}


def start(environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    base = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "deploy.container", *(command or SAY)]
    return subprocess.run(words, env=base | environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({}, "AWS_REGION"),
        ({"AWS_REGION": "eu-central-1"}, "FLEETLAKE_REGION"),
        ({"FLEETLAKE_REGION": "eu"}, "AWS_REGION"),
        (EU | {"AWS_REGION": "us-east-1"}, "AWS_REGION"),
        (EU | {"AWS_DEFAULT_REGION": "us-east-1"}, "AWS_DEFAULT_REGION"),
        (EU | {"FLEETLAKE_REGION": "nowhere"}, "nowhere"),
        ({"AWS_REGION": "eu-central-1", "FLEETLAKE_REGION": "world"}, "FLEETLAKE_AWS_REGION"),
    ],
)
def test_a_process_without_its_region_refuses_to_start(environment: dict[str, str], names: str) -> None:
    ended = start(environment)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert names in ended.stderr


def test_a_process_of_its_region_becomes_its_command(tmp_path: Path) -> None:
    ended = start(EU | {"FLEETLAKE_STATE": str(tmp_path), "FLEETLAKE_GATEWAY_KEY_PEM": "-----KEY-----"})
    assert ended.returncode == 0, ended.stderr
    path, pem = ended.stdout.split()
    assert pem == "None"
    assert Path(path).read_text() == "-----KEY-----"
    assert Path(path).stat().st_mode & 0o777 == 0o600


def test_dagster_s_web_server_is_of_no_region(tmp_path: Path) -> None:
    named = tmp_path / "dagster-webserver"
    named.write_text("#!/bin/sh\necho started\n")
    named.chmod(0o755)
    ended = start({"AWS_REGION": "eu-central-1", "PATH": f"{tmp_path}:{os.environ['PATH']}"}, "dagster-webserver")
    assert ended.stdout == "started\n"
