"""A code server is given its own region's secrets; webserver and daemon are given none."""

from pathlib import Path

import psutil
import pytest

from orchestration.local.dagster_home import prepare_home
from orchestration.local.priority import VARIABLE
from orchestration.local.servers import serving

NO_LOCATION = "load_from: []"
"""So that the daemon of this test leaves the other tests' data alone."""


def environ(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def secrets(environment: dict[str, str]) -> set[str]:
    """The values that only this region may know."""
    return {value for name, value in environment.items() if name.endswith(("_KEY", "_DSN", "_URL"))}


@pytest.fixture(scope="module")
def servers(stack, tmp_path_factory):
    lower = psutil.Process().nice() + 3
    folder = tmp_path_factory.mktemp("servers")
    workspace = folder / "workspace.yaml"
    workspace.write_text(NO_LOCATION)
    locations = {name: stack.environment(name) for name in ("eu", "world")}
    home = prepare_home(stack.dagster_environment())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(lower))
        with serving(locations, home, folder / "logs", workspace=workspace) as running:
            yield running


def test_each_process_knows_its_own_secrets_only(stack, servers):
    of_eu, of_world, of_us = (secrets(stack.environment(name)) for name in ("eu", "world", "us"))
    assert len(of_eu) > 5
    assert not of_eu & (of_us | of_world)

    known = {server.name: set(environ(server.process.pid).values()) for server in servers.all}

    assert of_eu <= known["eu"]
    assert of_world <= known["world"]
    assert not known["eu"] & (of_us | of_world)
    assert not known["world"] & (of_us | of_eu)
    for name in ("webserver", "daemon"):
        assert not known[name] & (of_us | of_eu | of_world)


def test_runs_give_way_to_ingest_and_what_people_look_at_does_not(servers):
    own = psutil.Process().nice()
    niceness = {server.name: psutil.Process(server.process.pid).nice() for server in servers.all}

    assert niceness == {"eu": own + 3, "world": own + 3, "webserver": own, "daemon": own}


def test_nothing_that_is_printed_of_a_server_holds_a_secret(stack, servers):
    assert not any(secret in repr(servers) for secret in secrets(stack.environment("eu")))
