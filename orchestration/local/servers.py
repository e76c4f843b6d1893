"""Dagster's processes on this machine: a code server a region, each with that region's environment only, the webserver
and the daemon, which hold no region's secret. All listen on 127.0.0.1 and end with the process that started them.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil
import psycopg

from contracts.environment import inherited
from contracts.errors import PortTaken, ServiceFailed
from contracts.ports import HOST, free_port, is_free
from orchestration.local.probes import answers, serves
from orchestration.local.workspace import grpc_variable, write_workspace

ROOT = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG = 1
_UP_WITHIN_S = 180
_DOWN_WITHIN_S = 20
_POLL_S = 0.1


class Server(msgspec.Struct):
    """One process: its name, where it listens, and where its output goes."""

    name: str
    process: subprocess.Popen[bytes]
    port: int | None
    log: Path
    command: list[str]
    environment: Mapping[str, str]

    def __repr__(self) -> str:
        """Without the environment, which holds secrets."""
        return f"Server({self.name}, pid {self.process.pid}, port {self.port})"


class Servers(msgspec.Struct):
    """All of Dagster's processes."""

    url: str
    all: list[Server]

    def ended(self) -> list[Server]:
        """The processes that have ended."""
        return [server for server in self.all if server.process.poll() is not None]

    def named(self, name: str) -> Server:
        """The process of that name."""
        return next(server for server in self.all if server.name == name)

    def start_again(self, name: str) -> None:
        """Start a process that has ended once more, as it was."""
        self.all[:] = [_again(server) if server.name == name else server for server in self.all]


@contextmanager
def serving(
    locations: Mapping[str, Mapping[str, str]],
    dagster: Mapping[str, str],
    logs: Path,
    port: int | None = None,
    workspace: Path | None = None,
) -> Iterator[Servers]:
    """Run everything until the block ends.

    locations: the environment of each code server, by its name, holding that region's variables and no other's.
    dagster: what every Dagster process needs (`dagster_home.prepare_home`).
    workspace: of webserver and daemon, with ports from FLEETLAKE_GRPC_NAME; by default one of all locations.
    Raises PortTaken, ServiceFailed.
    """
    logs.mkdir(parents=True, exist_ok=True)
    if port is not None and not is_free(port):
        raise PortTaken(f"port {port} is in use; leave out --port and a free one is taken")
    shared = inherited(os.environ) | dict(dagster)
    workspace = workspace or write_workspace(locations, Path(dagster["DAGSTER_HOME"]) / "workspace.yaml")
    started: list[Server] = []
    try:
        for name, variables in locations.items():
            own = free_port({server.port or 0 for server in started})
            started.append(_start(name, _code_server(own), shared | dict(variables), own, logs))
        ports = {grpc_variable(server.name): str(server.port) for server in started}
        for server in list(started):
            _wait(server, started, answers)
        _fail_orphaned_runs(dagster)
        started.append(_start("daemon", _daemon(workspace), shared | ports, None, logs))
        web = port or free_port()
        started.append(_start("webserver", _webserver(web, workspace), shared | ports, web, logs))
        _wait(started[-1], started, serves)
        yield Servers(url=f"http://{HOST}:{web}", all=started)
    finally:
        stop(started)
        if _storage_answers(dagster):  # Where the stack ended first, the next start fails them.
            _fail_orphaned_runs(dagster, daemon_ended=True)


def stop(servers: list[Server]) -> None:
    """Terminate all servers and the runs that they started; kill what is left after _DOWN_WITHIN_S."""
    for server in reversed(servers):
        _signal(server, signal.SIGINT if server.name == "daemon" else signal.SIGTERM)
    deadline = time.monotonic() + _DOWN_WITHIN_S
    while any(_is_alive(server) for server in servers) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    for server in servers:
        _signal(server, signal.SIGKILL)
        server.process.wait()


def _signal(server: Server, number: signal.Signals) -> None:
    """Send the signal to the server's process group: runs are processes of their own in it and would outlive it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.process.pid, number)


def _is_alive(server: Server) -> bool:
    """Whether any process of its session runs; a zombie does not."""
    server.process.poll()
    return any(_session(process) == server.process.pid for process in psutil.process_iter())


def _session(process: psutil.Process) -> int | None:
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else os.getsid(process.pid)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return None


def _fail_orphaned_runs(dagster: Mapping[str, str], *, daemon_ended: bool = False) -> None:
    """Fail the runs that ended with their code servers; delete the heartbeats of a daemon that has ended."""
    from dagster import DagsterInstance

    from orchestration.local.daemon_heartbeat import forget
    from orchestration.local.orphaned_runs import fail_orphans

    os.environ.update(dagster)
    with DagsterInstance.get() as instance:
        fail_orphans(instance)
        if daemon_ended:
            forget(instance)


def _storage_answers(dagster: Mapping[str, str]) -> bool:
    """Whether Dagster's database answers: Dagster itself retries for 17 s and prints each failure."""
    try:
        psycopg.connect(dagster["FLEETLAKE_DAGSTER_DSN"].replace("+psycopg2", ""), connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


def _code_server(port: int) -> list[str]:
    return [
        "-m",
        "dagster",
        "api",
        "grpc",
        "--module-name",
        "orchestration.location",
        "--host",
        HOST,
        "--port",
        str(port),
        "--working-directory",
        str(ROOT),
    ]


def _daemon(workspace: Path) -> list[str]:
    return ["-c", "from dagster._daemon.cli import main; main()", "run", "-w", str(workspace)]


def _webserver(port: int, workspace: Path) -> list[str]:
    return ["-m", "dagster_webserver", "-h", HOST, "-p", str(port), "-w", str(workspace)]


def _start(name: str, arguments: list[str], environment: Mapping[str, str], port: int | None, logs: Path) -> Server:
    log = logs / f"{name}.log"
    command = [sys.executable, *arguments]
    kept = {**environment, "PYTHONWARNINGS": "ignore"}
    return Server(name, _launch(command, kept, log), port, log, command, kept)


def _again(server: Server) -> Server:
    return msgspec.structs.replace(server, process=_launch(server.command, server.environment, server.log))


def _launch(command: list[str], environment: Mapping[str, str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as out:
        return subprocess.Popen(
            command,
            env=dict(environment),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            preexec_fn=_in_child,  # noqa: PLW1509 - two system calls and nothing else
            start_new_session=True,
        )


def _in_child() -> None:
    """Ends the child with its parent, and restores SIGINT, which a parent in the background may ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait(server: Server, started: list[Server], answers: Callable[[int], bool]) -> None:
    deadline = time.monotonic() + _UP_WITHIN_S
    while not answers(server.port or 0):
        for one in started:
            if one.process.poll() is not None:
                raise ServiceFailed(f"{one.name} ended with {one.process.returncode}; see {one.log}")
        if time.monotonic() > deadline:
            raise ServiceFailed(f"{server.name} does not answer after {_UP_WITHIN_S} s; see {server.log}")
        time.sleep(0.2)
