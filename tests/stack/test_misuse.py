"""Bad input to the commands: a clear line and the right exit code."""

import socket
import subprocess
import sys

import pytest

from tests.builders.stack import environment_of_a_user, state_parent


def fleetlake(*words, **environment):
    """Exit code and what stands on standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *words],
        env=environment_of_a_user(**environment),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@pytest.fixture
def nowhere():
    """A state folder where nothing was ever started."""
    with state_parent() as folder:
        yield str(folder / "state")


def test_a_taken_port(nowhere):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, error = fleetlake("up", "--port", f"postgres={port}", FLEETLAKE_STATE=nowhere)
    assert code == 1
    assert f"port {port} asked for postgres is in use" in error


@pytest.mark.parametrize("words", ["mysql=3306", "postgres=99999", "postgres"])
def test_a_port_that_cannot_be(nowhere, words):
    code, error = fleetlake("up", "--port", words, FLEETLAKE_STATE=nowhere)
    assert code == 2
    assert words.partition("=")[0] in error


@pytest.mark.parametrize(
    ("table", "what"),
    [("[eu\n", "is not TOML"), ("", "names no region"), ('[eu]\ntime_zone = "Europe/Berlin"\n', "[eu]")],
)
def test_a_malformed_region_table(nowhere, tmp_path, table, what):
    path = tmp_path / "regions.toml"
    path.write_text(table, encoding="utf-8")
    code, error = fleetlake("up", FLEETLAKE_STATE=nowhere, FLEETLAKE_REGIONS_FILE=str(path))
    assert code == 2
    assert str(path) in error
    assert what in error


def test_a_stack_that_is_down(nowhere):
    code, error = fleetlake("consume", "--region", "us", "--until-idle", FLEETLAKE_STATE=nowhere)
    assert code == 1
    assert "run 'fleetlake up'" in error


def test_an_unknown_region(stack):
    code, error = fleetlake("consume", "--region", "mars", "--until-idle", FLEETLAKE_STATE=str(stack.state))
    assert code == 2
    assert "no region 'mars'" in error
    assert "eu, us, ap, af" in error
