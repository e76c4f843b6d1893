"""A process of a region is given that region's environment, and nothing of any other."""

import json
import os
import subprocess
import sys

import pytest

import stack as embedded
from cli import environment
from contracts.errors import StackDown, UnknownRegion
from contracts.settings import RegionSettings, WorldSettings
from tests.builders.stack import environment_of_a_user

_SHOW = "import json, os; print(json.dumps(dict(os.environ)))"
_ENTER = "import sys; from cli.environment import enter_region; enter_region(sys.argv[1]); " + _SHOW


def entered(region, state, **further):
    """The environment of a process that entered the region."""
    done = subprocess.run(
        [sys.executable, "-c", _ENTER, region],
        env=environment_of_a_user(**({"FLEETLAKE_STATE": str(state)} | further)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_region_has_no_value_of_another(stack):
    own = set(stack.environment("us").values())
    shared = own & set(stack.environment("eu").values())
    assert all(value.startswith(("http://127.0.0.1:", "/")) for value in shared), "places only, no secret"
    assert not [value for value in stack.environment("world").values() if value in own - shared]


def test_settings_load_from_exactly_that_environment(stack):
    assert RegionSettings.load(stack.environment("us")).region == "us"
    assert WorldSettings.load(stack.environment("world")).s3.endpoint
    assert set(stack.dagster_environment()) == {"FLEETLAKE_DAGSTER_DSN", "DAGSTER_HOME"}


def test_entering_a_region_drops_what_the_caller_knew(stack):
    caller = {
        "AWS_SECRET_ACCESS_KEY": "developer's",
        "AWS_PROFILE": "production",
        "FLEETLAKE_REDIS_URL": "redis://eu:x@elsewhere",
        "FLEETLAKE_FLUSH_AGE_S": "7",
        "FLEETLAKE_RELEASE_DELAY_DAYS": "0",
        "SOMEONES_TOKEN": "x",
        "LC_ALL": "C.UTF-8",
    }
    found = entered("us", stack.state, **caller)
    assert "AWS_SECRET_ACCESS_KEY" not in found
    assert "AWS_PROFILE" not in found
    assert "SOMEONES_TOKEN" not in found
    assert found["FLEETLAKE_REDIS_URL"] == stack.environment("us")["FLEETLAKE_REDIS_URL"]
    assert found["FLEETLAKE_FLUSH_AGE_S"] == "7"
    assert found["FLEETLAKE_RELEASE_DELAY_DAYS"] == "0"
    assert found["LC_ALL"] == "C.UTF-8"
    assert found["PATH"] == os.environ["PATH"]


def test_a_process_of_another_region_does_not_keep_its_own(stack):
    found = entered("us", stack.state, **stack.environment("eu"))
    foreign = set(stack.environment("eu").values()) - set(stack.environment("us").values())
    assert not foreign & set(found.values())


def test_a_process_of_the_region_goes_on_as_it_is():
    here = {"FLEETLAKE_REGION": "us", "FLEETLAKE_STATE": "/nowhere", "PATH": os.environ["PATH"], "KEPT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _ENTER, "us"], env=here, capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(done.stdout)["KEPT"] == "1"


def test_an_unknown_region_is_named_with_those_there_are(stack, monkeypatch):
    with pytest.raises(UnknownRegion, match=r"no region 'mars'.*eu, us, ap, af"):
        embedded.region_environment(stack.state, "mars")
    monkeypatch.setenv("FLEETLAKE_STATE", str(stack.state))
    with pytest.raises(UnknownRegion):
        environment.each_region("mars")


def test_a_stack_that_was_never_up_says_what_to_run(tmp_path, monkeypatch):
    with pytest.raises(StackDown, match="run 'fleetlake up'"):
        embedded.region_environment(tmp_path, "us")
    monkeypatch.setenv("FLEETLAKE_STATE", str(tmp_path))
    monkeypatch.delenv("FLEETLAKE_REGION", raising=False)
    with pytest.raises(StackDown):
        environment.enter_region("us")


def test_each_region_runs_in_a_process_of_its_own(stack, monkeypatch, tmp_path):
    monkeypatch.setenv("FLEETLAKE_STATE", str(stack.state))
    shown = tmp_path / "cli"
    shown.mkdir()
    (shown / "__init__.py").touch()
    body = "import os, sys; print(os.environ['FLEETLAKE_REGION'], *sys.argv[1:]); sys.exit('us' in sys.argv)"
    (shown / "main.py").write_text(body)
    monkeypatch.chdir(tmp_path)
    runs = environment.run_in_each_region(["eu", "us"], ["simulate", "--seed", "1"], capture=True)
    assert [run.output for run in runs] == [
        "eu simulate --seed 1 --region eu\n",
        "us simulate --seed 1 --region us\n",
    ]
    assert [run.exit_code for run in runs] == [0, 1]
    assert environment.exit_code_of(runs) == 1


def test_all_means_every_row_of_the_table(stack, monkeypatch):
    monkeypatch.setenv("FLEETLAKE_STATE", str(stack.state))
    assert environment.each_region("all") == ["eu", "us", "ap", "af"]
    assert environment.each_region("ap") == ["ap"]
