"""One of Dagster's processes on this machine: started in a session of its own, ended with all that it started."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import psutil

from contracts.logs import last_lines
from contracts.ports import is_free
from orchestration.local.priority import give_way

ROOT = Path(__file__).resolve().parents[2]
DAEMON = "daemon"
"""The name of the one process that ends by SIGINT."""
_PR_SET_PDEATHSIG = 1
_DOWN_WITHIN_S = 20
_POLL_S = 0.1
_TAKEN = ("could not bind", "couldnotbind", "failed to bind", "address already in use")
"""What the log of a server says that could not listen."""


class Server(msgspec.Struct):
    """One process: its name, where it listens, where its output goes, and how it is started."""

    name: str
    process: "subprocess.Popen[bytes]"
    port: int | None
    log: Path
    arguments: Callable[[int | None], list[str]]
    """The Python interpreter's arguments, by port."""
    environment: Mapping[str, str]
    gives_way: bool = False
    """Whether it and the runs that it starts leave the cores to ingest."""

    def __repr__(self) -> str:
        """Without the environment, which holds secrets."""
        return f"Server({self.name}, pid {self.process.pid}, port {self.port})"

    def has_ended(self) -> bool:
        """Whether the process itself has ended; runs that it started may still work."""
        return self.process.poll() is not None

    def listens(self) -> bool:
        """Whether the process itself listens on its port: what answers there may be another program."""
        try:
            found = psutil.Process(self.process.pid).net_connections("tcp")
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return not self.has_ended()
        return any(one.status == psutil.CONN_LISTEN and one.laddr.port == self.port for one in found)

    def lost_its_port(self) -> bool:
        """Whether it ended because another program took its port before it could listen."""
        if self.port is None or not self.has_ended():
            return False
        return not is_free(self.port) or any(word in last_lines(self.log, 40).lower() for word in _TAKEN)

    def ending(self) -> str:
        """How it ended, and the last lines of its log."""
        return f"{self.name} ended with {self.process.returncode}; {self.log} ends with\n{last_lines(self.log)}"


def start(
    name: str,
    arguments: Callable[[int | None], list[str]],
    environment: Mapping[str, str],
    port: int | None,
    logs: Path,
    *,
    gives_way: bool = False,
) -> Server:
    """Start a process whose output is appended to its log in `logs`; see Server for the others."""
    log, kept = logs / f"{name}.log", {**environment, "PYTHONWARNINGS": "ignore"}
    process = _launch([sys.executable, *arguments(port)], kept, log, gives_way=gives_way)
    return Server(name, process, port, log, arguments, kept, gives_way)


def again(server: Server, port: int | None = None) -> Server:
    """Start a process that has ended once more, as it was, or on another port."""
    port = port or server.port
    command = [sys.executable, *server.arguments(port)]
    process = _launch(command, server.environment, server.log, gives_way=server.gives_way)
    return msgspec.structs.replace(server, process=process, port=port)


def stop(servers: Sequence[Server]) -> None:
    """Terminate all servers and the runs that they started; kill what is left after _DOWN_WITHIN_S."""
    for server in reversed(servers):
        _signal(server, signal.SIGINT if server.name == DAEMON else signal.SIGTERM)
    deadline = time.monotonic() + _DOWN_WITHIN_S
    while any(is_alive(server) for server in servers) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    for server in servers:
        _signal(server, signal.SIGKILL)
        server.process.wait()


def is_alive(server: Server) -> bool:
    """Whether any process of its session runs, such as a run that it started; a zombie does not."""
    server.process.poll()
    return any(_session(process) == server.process.pid for process in psutil.process_iter())


def _signal(server: Server, number: signal.Signals) -> None:
    """Send the signal to the server's process group: runs are processes of their own in it and would outlive it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.process.pid, number)


def _session(process: psutil.Process) -> int | None:
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else os.getsid(process.pid)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return None


def _launch(
    command: list[str], environment: Mapping[str, str], log: Path, *, gives_way: bool
) -> "subprocess.Popen[bytes]":
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            preexec_fn=_in_child,  # noqa: PLW1509 - two system calls and nothing else
            start_new_session=True,
        )
    if gives_way:
        give_way(process.pid)
    return process


def _in_child() -> None:
    """Ends the child with its parent, and restores SIGINT, which a parent in the background may ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
