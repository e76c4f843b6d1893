"""`fleetlake shell`: a program of the user's choice is a process of one region, like any other."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.builders.command import environment


def shell(stack: Any, region: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "cli.main", "shell", "--region", region, *words],
        env=environment(stack.state, SHELL="/bin/sh"),
        input='echo "in $FLEETLAKE_REGION"',
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_program_has_its_regions_variables_and_no_other_regions_secret(stack: Any) -> None:
    done = shell(stack, "us", "env")
    assert done.returncode == 0, done.stderr
    told = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    wanted = stack.environment("us")
    assert {name: told.get(name) for name in wanted if name.startswith("FLEETLAKE_")} == {
        name: value for name, value in wanted.items() if name.startswith("FLEETLAKE_")
    }
    assert stack.environment("eu")["FLEETLAKE_POSTGRES_DSN"] not in done.stdout


def test_psql_and_dbt_are_at_hand(stack: Any) -> None:
    asked = 'psql "$FLEETLAKE_PRIVACY_DSN" -Atc "select current_database()" && command -v dbt'
    done = shell(stack, "us", "sh", "-c", asked)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["privacy_us", str(Path(sys.executable).with_name("dbt"))]


@pytest.mark.parametrize("region", ["us", "world"])
def test_dbt_works_on_the_regions_own_database(stack: Any, region: str) -> None:
    done = shell(stack, region, "dbt", "debug", "--no-use-colors")
    assert done.returncode == 0, done.stdout
    assert f"database: fleet_{region}" in done.stdout
    assert "All checks passed!" in done.stdout


def test_without_a_program_it_is_the_users_shell(stack: Any) -> None:
    done = shell(stack, "world")
    assert (done.returncode, done.stdout) == (0, "in world\n"), done.stderr


def test_a_program_that_is_not_there_is_misuse(stack: Any) -> None:
    done = shell(stack, "us", "no-such-program")
    assert done.returncode == 2
    assert done.stderr == "fleetlake: cannot run 'no-such-program': No such file or directory\n"


def test_a_programs_exit_code_is_the_commands(stack: Any) -> None:
    assert shell(stack, "us", "sh", "-c", "exit 7").returncode == 7
