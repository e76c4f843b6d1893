"""What is left of an `up` that was killed, or of a region table that is gone, can be asked, mended and ended."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import stack
from cli.environment import each_region
from contracts.errors import StackDown
from stack.layout import Layout
from tests.builders.stack import (
    SERVICES,
    environment_of_a_user,
    eventually,
    gone,
    process_of,
    processes_of,
    stack_folder,
)

ALL_UP = dict.fromkeys(SERVICES, "up")
ALL_DOWN = dict.fromkeys(SERVICES, "down")
THIRD = """
[ap]
aws_region = "ap-southeast-1"
time_zone = "Asia/Kuala_Lumpur"
legal_regime = "PDPA"
retention_days = 30
stream_shards = 1
history_buckets = 1
"""


def command(state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *words],
        env=environment_of_a_user(FLEETLAKE_STATE=str(state)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.mark.parametrize("service", ["s3", "postgres"])
def test_a_first_up_killed_once_a_service_runs_is_carried_on_by_the_next(service):
    with stack_folder() as (state, regions_file):
        program = f"import stack; from pathlib import Path; stack.up(Path({str(state)!r}), Path({str(regions_file)!r}))"
        first = subprocess.Popen([sys.executable, "-c", program])
        eventually(Layout.of(state).process(service).exists, within_s=60)
        first.kill()
        first.wait()
        before = process_of(state, service).pid

        assert set(json.loads(command(state, "status", "--json").stdout)["services"]) == set(SERVICES)

        stack.up(state, regions_file)
        assert stack.services_status(state) == ALL_UP
        assert process_of(state, service).pid == before, "its ports were kept before it started"


def test_a_service_whose_port_nobody_knows_is_started_anew(own_stack):
    facts = Layout.of(own_stack.state).facts
    before = process_of(own_stack.state, "redis").pid
    facts.unlink()

    assert stack.services_status(own_stack.state) == dict.fromkeys(SERVICES, "failing")
    with pytest.raises(StackDown, match="run 'fleetlake up'"):
        own_stack.settings("us")

    own_stack.up()
    assert stack.services_status(own_stack.state) == ALL_UP
    assert process_of(own_stack.state, "redis").pid != before


@pytest.mark.parametrize("table", [None, "[eu\n"])
def test_without_a_region_table_status_says_so_and_down_ends_everything(own_stack, table):
    kept = own_stack.regions_file.read_text(encoding="utf-8")
    running = processes_of(own_stack.state)
    own_stack.regions_file.unlink() if table is None else own_stack.regions_file.write_text(table, encoding="utf-8")
    try:
        for words in (["status"], ["status", "--json"]):
            told = command(own_stack.state, *words)
            assert told.returncode == 1
            assert own_stack.regions_file.name in told.stdout
        found = json.loads(told.stdout)
        assert found["services"] == ALL_UP
        assert str(own_stack.regions_file) in found["problems"][0]

        assert command(own_stack.state, "down").returncode == 0
        assert stack.services_status(own_stack.state) == ALL_DOWN
        assert not [one for one in running if not gone(one)]
    finally:
        own_stack.regions_file.write_text(kept, encoding="utf-8")


def test_a_row_that_up_has_not_seen_yet_says_so_and_leaves_the_other_regions_alone(own_stack, monkeypatch, capsys):
    kept = own_stack.regions_file.read_text(encoding="utf-8")
    monkeypatch.setenv("FLEETLAKE_STATE", str(own_stack.state))
    monkeypatch.delenv("FLEETLAKE_REGIONS_FILE", raising=False)
    own_stack.regions_file.write_text(kept + THIRD, encoding="utf-8")
    try:
        with pytest.raises(StackDown, match=r"region ap is new.*run 'fleetlake up'"):
            own_stack.settings("ap")
        assert own_stack.settings("us").region == "us"
        assert each_region("all") == ["eu", "us"]
        assert "region ap is left out" in capsys.readouterr().err
        found = stack.status(own_stack.state)
        assert list(found["regions"]) == ["eu", "us"]
        assert found["problems"] == ["region ap is not in the stack yet; run 'fleetlake up'"]
    finally:
        own_stack.regions_file.write_text(kept, encoding="utf-8")
