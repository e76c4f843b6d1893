"""The commands of the privacy office on the real stack: what they print, how they end, and that they are on record."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.settings import RegionSettings
from privacy.audit import acts
from tests.builders.command import fleetlake
from tests.builders.marts import empty, fetch, register

DEVICE, FLEET = "cmd-1", "cmd-fleet"


@pytest.fixture(scope="module")
def region(stack) -> Iterator[RegionSettings]:
    settings = stack.settings("ap")
    empty(settings)
    register(settings, FLEET, {DEVICE: "car"})
    yield settings
    empty(settings)


@pytest.fixture
def run(stack) -> Any:
    def run(*words: str) -> Any:
        return fleetlake(stack.state, *words, "--region", "ap")

    return run


def told(ended: Any) -> dict[str, Any]:
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_an_export_into_a_folder_tells_its_rows_and_refuses_a_full_one(run, region, tmp_path: Path) -> None:
    folder = tmp_path / "answer"
    said = told(run("export", DEVICE, "--out", str(folder), "--json", "--who", "officer"))
    assert said["parts"]["registry_device"] == 1 and said["link"] is None
    assert (folder / "index.html").exists()
    again = run("export", DEVICE, "--out", str(folder))
    assert (again.returncode, "has files in it" in again.stderr) == (2, True)


def test_retention_is_set_looked_at_and_stopped_by_a_hold(run, region) -> None:
    assert told(run("retention", "set", "30", "--fleet", FLEET, "--json")) == {
        "act": "retention.set",
        "of": "fleet",
        "days": 30,
    }
    assert fetch(region, "select retention_days from registry.fleet where fleet_id = %s", FLEET) == [(30,)]
    number = told(run("retention", "hold", "--device", DEVICE, "--why", "a claim", "--json"))["hold_id"]
    said = told(run("retention", "--dry-run", "--json"))
    assert (said["dry_run"], said["overdue"], said["ok"]) == (True, 0, True)
    assert {"history.telemetry", "landing", "live.latest", "privacy.past_read"} <= set(said["stores"])
    held = run("erase", DEVICE)
    assert (held.returncode, f"legal hold {number}" in held.stderr) == (2, True)
    told(run("retention", "lift", str(number), "--json"))
    placed = run("retention", "hold", "--device", DEVICE, "--why", "another claim")
    assert f"hold {number + 1}" in placed.stdout  # whoever placed it lifts it by its number
    told(run("retention", "lift", str(number + 1), "--json"))
    assert run("retention", "set", "never", "--fleet", FLEET).returncode == 2
    assert run("retention", "set", "5").returncode == 2


def test_a_restriction_and_a_correction_are_on_record_with_who_did_it_and_without_a_name(run, region) -> None:
    said = told(run("restrict", DEVICE, "--json", "--who", "officer"))
    assert (said["devices"], said["lifted"]) == (1, False)
    assert told(run("restrict", DEVICE, "--lift", "--json", "--who", "officer"))["devices"] == 1
    fixed = told(run("rectify", DEVICE, "--make", "Right", "--why", "a typing error", "--json", "--who", "officer"))
    assert fixed["rectified"] == ["make"]
    log = acts(region)
    assert {"restrict.done", "lift.done", "rectified", "hold.placed", "hold.lifted"} <= {act.act for act in log}
    assert all(DEVICE not in act.detail for act in log)
    assert run("rectify", DEVICE, "--why", "nothing").returncode == 2
