"""Processing gives way to ingest where both share a machine's cores."""

import os
import subprocess
import sys

import psutil

from orchestration.local.priority import NICENESS
from orchestration.local.server import again, start, stop

WAITS = "import time; time.sleep(600)"
GIVES_WAY = """
import os, subprocess, sys
from orchestration.local.priority import give_way
give_way()
sys.exit(subprocess.run([sys.executable, "-c", "import os; print(os.getpriority(os.PRIO_PROCESS, 0))"]).returncode)
"""


def test_what_a_process_starts_gives_way_as_it_does():
    done = subprocess.run([sys.executable, "-c", GIVES_WAY], capture_output=True, text=True, check=True)

    assert int(done.stdout) == NICENESS


def test_a_code_server_gives_way_also_when_it_is_started_again(tmp_path):
    def arguments(_: int | None) -> list[str]:
        return ["-c", WAITS]

    own = os.getpriority(os.PRIO_PROCESS, 0)
    web = start("webserver", arguments, dict(os.environ), None, tmp_path)
    code = start("eu", arguments, dict(os.environ), None, tmp_path, gives_way=True)
    started = [web, code]
    try:
        assert psutil.Process(web.process.pid).nice() == own < NICENESS
        assert psutil.Process(code.process.pid).nice() == NICENESS
        code.process.kill()
        code.process.wait()
        started.append(again(code))
        assert psutil.Process(started[-1].process.pid).nice() == NICENESS
    finally:
        stop(started)
