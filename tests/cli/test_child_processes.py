"""A command that runs in every region leaves no process behind and says what it can, however it is asked to end."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.builders.stack import eventually

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import json, os, pathlib, signal, sys
region = sys.argv[-1]
def end(*_):
    print(json.dumps({"region": region, "ok": True, "read": 1}), flush=True)
    sys.exit(0)
if region != "stubborn":
    signal.signal(signal.SIGTERM, end)
pathlib.Path(f"{region}.pid").write_text(str(os.getpid()))
while True:
    signal.pause()
"""
EVERYWHERE = """
import json, os, sys
from cli import environment
environment.process_environment = lambda name: dict(os.environ)
runs = environment.run_in_each_region(["eu", "us"], ["consume"], capture=True)
print(json.dumps([json.loads(run.output) for run in runs]))
sys.exit(environment.exit_code_of(runs))
"""
PROCESS = """
import json, os
from cli import process
process.process_environment = lambda name: dict(os.environ)
process.dagster_environment = dict
process.each_region = lambda _: ["eu", "stubborn", "us"]
print(json.dumps(process._in_processes(2)))
"""


def begun(folder: Path, program: str, *regions: str) -> "subprocess.Popen[str]":
    """A command whose regions' processes all run."""
    (folder / "cli").mkdir()
    (folder / "cli" / "__init__.py").touch()
    (folder / "cli" / "main.py").write_text(CHILD)
    script = folder / "programs" / "command.py"
    script.parent.mkdir()
    script.write_text(program)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = subprocess.Popen([sys.executable, str(script)], cwd=folder, env=environment, text=True, stdout=-1)
    eventually(lambda: all((folder / f"{region}.pid").exists() for region in regions))
    return command


def left(folder: Path) -> list[str]:
    return [path.stem for path in folder.glob("*.pid") if psutil.pid_exists(int(path.read_text() or 0))]


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_every_region_and_their_reports_are_told(tmp_path, asked):
    command = begun(tmp_path, EVERYWHERE, "eu", "us")

    command.send_signal(asked)
    out, _ = command.communicate(timeout=180)

    assert command.returncode == 0
    assert [report["region"] for report in json.loads(out)] == ["eu", "us"]
    assert left(tmp_path) == []


def test_process_asked_to_end_starts_nothing_more_and_says_what_became_of_each(tmp_path):
    command = begun(tmp_path, PROCESS, "eu", "stubborn")

    command.terminate()
    out, _ = command.communicate(timeout=180)

    found = {document["region"]: document for document in json.loads(out)}
    assert found["eu"]["ok"]
    assert found["stubborn"]["error"] == "ended by SIGTERM; the next one carries on"
    assert found["us"]["error"] == found["world"]["error"] == "not started: asked to end"
    assert left(tmp_path) == []
