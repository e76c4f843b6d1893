"""Dagster's processes end with what they started, whatever else has ended before them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from contracts.errors import ServiceFailed
from orchestration.local import servers
from orchestration.local.servers import Server, serving, stop
from tests.builders.stack import eventually, gone

STARTS_A_RUN = """
import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", {run!r}]).pid, flush=True)
input()
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
MILD = "import time; time.sleep(600)"


def server(tmp_path: Path, run: str) -> tuple[Server, psutil.Process]:
    """A code server that has started a run in a process of its own."""
    words = [sys.executable, "-c", STARTS_A_RUN.format(run=run)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    started = psutil.Process(int(process.stdout.readline()))
    if run is DEAF:
        assert process.stdout.readline() == b"deaf\n"
    return Server("eu", process, None, tmp_path / "eu.log", words, {}), started


@pytest.mark.parametrize("run", [MILD, DEAF])
def test_a_run_that_a_code_server_started_ends_with_it(tmp_path, monkeypatch, run):
    monkeypatch.setattr(servers, "_DOWN_WITHIN_S", 1)
    one, started = server(tmp_path, run)

    stop([one])

    eventually(lambda: gone(started))
    assert one.process.returncode is not None


def test_a_run_ends_though_its_code_server_died_first(tmp_path):
    one, started = server(tmp_path, MILD)
    one.process.kill()
    one.process.wait()
    assert not gone(started)

    stop([one])

    eventually(lambda: gone(started))


def test_a_server_hears_sigint_though_its_starter_ignores_it(tmp_path):
    """As whatever a shell starts in the background does: the daemon ends by SIGINT."""
    heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = servers._launch([sys.executable, "-c", MILD], os.environ, tmp_path / "daemon.log")
    finally:
        signal.signal(signal.SIGINT, heard)

    process.send_signal(signal.SIGINT)

    assert process.wait(20) != 0


def test_servers_end_without_a_word_where_the_stack_ended_first(tmp_path, capfd):
    dagster = {
        "DAGSTER_HOME": str(tmp_path),
        "FLEETLAKE_DAGSTER_DSN": "postgresql+psycopg2://dagster:gone@127.0.0.1:1/dagster",
    }
    with pytest.raises(ServiceFailed, match="eu ended"), serving({"eu": {}}, dagster, tmp_path / "logs"):
        pass

    assert capfd.readouterr().err == ""
