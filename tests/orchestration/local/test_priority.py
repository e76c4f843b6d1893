"""Processing gives way to ingest where both share a machine's cores."""

import os
import subprocess
import sys

import psutil
import pytest

from contracts.errors import BadSettings
from orchestration.local.priority import DEFAULT, VARIABLE, niceness
from orchestration.local.server import again, start, stop

WAITS = "import time; time.sleep(600)"
GIVES_WAY = """
import subprocess, sys
from orchestration.local.priority import give_way
give_way()
sys.exit(subprocess.run([sys.executable, "-c", "import os; print(os.getpriority(os.PRIO_PROCESS, 0))"]).returncode)
"""


def test_what_a_process_starts_gives_way_as_it_does():
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    words = [sys.executable, "-c", GIVES_WAY]

    by_default = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    last = subprocess.run(words, env={**environment, VARIABLE: "19"}, capture_output=True, text=True, check=True)

    assert [int(by_default.stdout), int(last.stdout)] == [DEFAULT, 19]


@pytest.mark.parametrize("text", ["-1", "20", "low", "1.5"])
def test_no_niceness_that_the_machine_does_not_know(monkeypatch, text):
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(BadSettings, match=r"from 0 .* to 19"):
        niceness()


def test_a_code_server_gives_way_also_when_it_is_started_again(tmp_path, monkeypatch):
    def arguments(_: int | None) -> list[str]:
        return ["-c", WAITS]

    own = os.getpriority(os.PRIO_PROCESS, 0)
    monkeypatch.setenv(VARIABLE, str(own + 3))
    web = start("webserver", arguments, dict(os.environ), None, tmp_path)
    code = start("eu", arguments, dict(os.environ), None, tmp_path, gives_way=True)
    started = [web, code]
    try:
        assert [psutil.Process(one.process.pid).nice() for one in started] == [own, own + 3]
        code.process.kill()
        code.process.wait()
        started.append(again(code))
        assert psutil.Process(started[-1].process.pid).nice() == own + 3
    finally:
        stop(started)
