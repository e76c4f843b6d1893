"""Dagster's processes end with what they started, whatever else has ended before them."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from contracts.errors import ServiceFailed
from contracts.ports import HOST, free_port
from orchestration.local import server as one_server
from orchestration.local.probes import serves
from orchestration.local.server import Server, start, stop
from orchestration.local.servers import _wait, serving
from tests.builders.stack import eventually, gone

STARTS_A_RUN = """
import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", {run!r}]).pid, flush=True)
input()
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
MILD = "import time; time.sleep(600)"
SERVES = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
BaseHTTPRequestHandler.do_GET = lambda self: (self.send_response(200), self.end_headers())
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), BaseHTTPRequestHandler).serve_forever()
"""
BROKEN = "raise SystemExit('no module of that name')"


def server(tmp_path: Path, run: str) -> tuple[Server, psutil.Process]:
    """A code server that has started a run in a process of its own."""
    words = [sys.executable, "-c", STARTS_A_RUN.format(run=run)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    started = psutil.Process(int(process.stdout.readline()))
    if run is DEAF:
        assert process.stdout.readline() == b"deaf\n"
    return Server("eu", process, None, tmp_path / "eu.log", lambda _: words[1:], {}), started


@pytest.mark.parametrize("run", [MILD, DEAF])
def test_a_run_that_a_code_server_started_ends_with_it(tmp_path, monkeypatch, run):
    monkeypatch.setattr(one_server, "_DOWN_WITHIN_S", 1)
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
        process = one_server._launch([sys.executable, "-c", MILD], os.environ, tmp_path / "daemon.log", gives_way=False)
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


class Answers(BaseHTTPRequestHandler):
    """Says 200 to anything."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def another_program(port: int) -> Iterator[None]:
    """A program that answers on that port, as another `fleetlake ui` does."""
    with ThreadingHTTPServer((HOST, port), Answers) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        yield
        other.shutdown()


def serving_on(port: int, logs: Path, code: str = SERVES) -> Server:
    return start("eu", lambda at: ["-c", code, str(at)], dict(os.environ), port, logs)


def test_a_server_whose_port_was_taken_between_choice_and_bind_starts_anew_on_another(tmp_path):
    taken = free_port()
    with another_program(taken):
        started = [serving_on(taken, tmp_path)]
        try:
            assert serves(taken), "what answers is the other program"
            _wait(started, 0, serves, movable={"eu"})
            assert started[0].port != taken
            assert serves(started[0].port)
        finally:
            stop(started)


def test_a_port_that_was_asked_for_is_not_exchanged(tmp_path):
    taken = free_port()
    with another_program(taken):
        started = [serving_on(taken, tmp_path)]
        with pytest.raises(ServiceFailed, match="eu ended with 1"):
            _wait(started, 0, serves, movable=())


def test_what_ends_for_another_reason_is_told_with_the_last_lines_of_its_log(tmp_path):
    started = [serving_on(free_port(), tmp_path, BROKEN)]
    with pytest.raises(ServiceFailed, match="no module of that name") as told:
        _wait(started, 0, serves, movable={"eu"})
    assert str(tmp_path / "eu.log") in str(told.value)
