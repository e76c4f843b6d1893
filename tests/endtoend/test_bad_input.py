"""What a person can get wrong is answered in a sentence, with the exit code that says whose fault it is."""

import os
import shutil
import socket
from pathlib import Path

import polars as pl
import pytest

from tests.builders.command import fleetlake


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    pl.DataFrame({"vehicle": ["a"], "ts": ["2026-01-01T00:00:00Z"], "v": [1.0]}).write_csv(path)
    return path


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("simulate", "--region", "mars", "--devices", "1", "--hours", "1"), 2, "no region 'mars' in regions.toml"),
        (("replay", "nowhere.parquet", "--region", "eu"), 2, "nowhere.parquet"),
        (("trail", "eu-van-0001", "--region", "eu", "--from", "yesterdayish", "--to", "now"), 2, "yesterdayish"),
        (("consume", "--region", "mars", "--until-idle"), 2, "no region 'mars'"),
        (("bench", "nothing"), 2, "nothing"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_a_mistake_is_named(stack, words: tuple[str, ...], code: int, says: str) -> None:
    done = fleetlake(stack.state, *words)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_without_device_id_is_refused(stack, rows: Path) -> None:
    done = fleetlake(stack.state, "replay", str(rows), "--region", "eu")
    assert done.returncode == 2, done.stderr
    assert "device_id" in done.stderr


def test_a_mapping_that_names_a_missing_column_says_which_there_are(stack, rows: Path, tmp_path: Path) -> None:
    mapping = tmp_path / "m.toml"
    mapping.write_text('[device_id]\ncolumn = "vehicle"\n[fields]\nspeed_kmh = "velocity"\n')
    done = fleetlake(stack.state, "replay", str(rows), "--region", "eu", "--mapping", str(mapping))
    assert done.returncode == 2, done.stderr
    assert "velocity" in done.stderr
    assert "vehicle" in done.stderr


@pytest.mark.parametrize(
    "words",
    [("consume", "--region", "eu", "--until-idle"), ("process", "--region", "eu"), ("reconcile", "--region", "eu")],
    ids=lambda words: words[0],
)
def test_a_stack_that_is_down_is_said_to_be(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = fleetlake(tmp_path / "state", *words)
    assert done.returncode == 1, done.stderr
    assert "fleetlake up" in done.stderr


def test_a_malformed_region_table_is_named(tmp_path: Path) -> None:
    table = tmp_path / "regions.toml"
    table.write_text('[eu]\naws_region = "eu-central-1"\n')
    done = fleetlake(tmp_path / "state", "up", FLEETLAKE_REGIONS_FILE=str(table))
    assert done.returncode == 2, done.stderr
    assert "[eu]" in done.stderr


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = fleetlake(tmp_path / "state", "up", "--port", f"redis={port}")
    try:
        assert done.returncode == 1, done.stderr
        assert str(port) in done.stderr
    finally:
        fleetlake(tmp_path / "state", "down")


def test_a_java_that_is_too_old_is_named(stack, tmp_path: Path) -> None:
    java = tmp_path / "java" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)
    script = "from contracts.settings import RegionSettings; from lake.spark.session import spark_session; import sys\n"
    script += "from contracts.errors import FleetlakeError\n"
    script += "try: spark_session(RegionSettings.load())\n"
    script += "except FleetlakeError as error: print(error); sys.exit(error.exit_code)\n"
    import subprocess
    import sys

    env = {**os.environ, **stack.environment("eu"), "JAVA_HOME": str(java.parent.parent)}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "11" in done.stdout
    assert "17" in done.stdout
    shutil.rmtree(java.parent.parent)
