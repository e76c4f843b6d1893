"""Dagster's processes on this machine: a code server a region, each with that region's environment only, the webserver
and the daemon, which hold no region's secret. All listen on 127.0.0.1 and end with the process that started them.
"""

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from contracts.environment import inherited
from contracts.errors import PortTaken, ServiceFailed
from contracts.logs import last_lines
from contracts.ports import HOST, free_port, is_free
from orchestration.local.priority import niceness
from orchestration.local.probes import answers, serves
from orchestration.local.server import DAEMON, ROOT, Server, again, start, stop
from orchestration.local.storage import fail_orphaned_runs, storage_answers
from orchestration.local.supervisor import Say, Supervisor
from orchestration.local.workspace import grpc_variable, write_workspace

WEBSERVER = "webserver"
_UP_WITHIN_S = 180
_POLL_S = 0.2
_MOST_MOVES = 5
"""Ports that are lost at the start before it is given up."""


class Servers(msgspec.Struct):
    """All of Dagster's processes."""

    url: str
    all: list[Server]
    supervisor: Supervisor

    def named(self, name: str) -> Server:
        """The process of that name, as it runs now."""
        return next(server for server in self.all if server.name == name)

    def keep_running(self) -> None:
        """Start again what has ended by itself; see Supervisor.look."""
        self.supervisor.look()


def _quiet(_: str) -> None:
    pass


@contextmanager
def serving(
    locations: Mapping[str, Mapping[str, str]],
    dagster: Mapping[str, str],
    logs: Path,
    port: int | None = None,
    workspace: Path | None = None,
    say: Say = _quiet,
) -> Iterator[Servers]:
    """Run everything until the block ends, which calls `keep_running` once a second.

    locations: the environment of each code server, by its name, holding that region's variables and no other's.
    dagster: what every Dagster process needs (`dagster_home.prepare_home`).
    workspace: of webserver and daemon, with ports from FLEETLAKE_GRPC_NAME; by default one of all locations.
    say: told what ended by itself and was started again.
    Raises PortTaken, ServiceFailed, BadSettings.
    """
    niceness()
    logs.mkdir(parents=True, exist_ok=True)
    if port is not None and not is_free(port):
        raise PortTaken(f"port {port} is in use; leave out --port and a free one is taken")
    shared = inherited(os.environ) | dict(dagster)
    workspace = workspace or write_workspace(locations, Path(dagster["DAGSTER_HOME"]) / "workspace.yaml")
    started: list[Server] = []
    left: list[Server] = []
    try:
        _start_code_servers(locations, shared, logs, started)
        fail_orphaned_runs(dagster)
        _start_web(workspace, shared, port, logs, started)
        supervisor = Supervisor(started, dagster, say)
        left = supervisor.left
        yield Servers(url=f"http://{HOST}:{started[-1].port}", all=started, supervisor=supervisor)
    finally:
        stop([*left, *started])
        if storage_answers(dagster):  # Where the stack ended first, the next start fails them.
            fail_orphaned_runs(dagster, daemon_ended=True)


def _start_code_servers(
    locations: Mapping[str, Mapping[str, str]], shared: Mapping[str, str], logs: Path, started: list[Server]
) -> None:
    for name, variables in locations.items():
        port = free_port({server.port or 0 for server in started})
        started.append(start(name, _code_server, {**shared, **variables}, port, logs, gives_way=True))
    for place in range(len(started)):
        _wait(started, place, answers, movable=locations)


def _start_web(workspace: Path, shared: Mapping[str, str], port: int | None, logs: Path, started: list[Server]) -> None:
    """The daemon, and last the webserver."""
    with_ports = {**shared, **{grpc_variable(server.name): str(server.port) for server in started}}
    started.append(start(DAEMON, lambda _: _daemon(workspace), with_ports, None, logs))
    web = port or free_port()
    started.append(start(WEBSERVER, lambda at: _webserver(at, workspace), with_ports, web, logs))
    _wait(started, len(started) - 1, serves, movable=[] if port else [WEBSERVER])


def _wait(started: list[Server], place: int, answers: Callable[[int], bool], movable: Collection[str]) -> None:
    """Wait until that server answers. A movable one that lost its port to another program starts anew on another.

    Raises ServiceFailed, with the last lines of the log, where any has ended for another reason, or it does not answer.
    """
    deadline, moves = time.monotonic() + _UP_WITHIN_S, 0
    while not (answers(started[place].port or 0) and started[place].listens()):
        for at, one in enumerate(started):
            if not one.has_ended():
                continue
            if moves == _MOST_MOVES or one.name not in movable or not one.lost_its_port():
                raise ServiceFailed(one.ending())
            started[at] = again(one, free_port({server.port or 0 for server in started}))
            moves += 1
        if time.monotonic() > deadline:
            name, log = started[place].name, started[place].log
            raise ServiceFailed(f"{name} does not answer after {_UP_WITHIN_S} s; {log} ends with\n{last_lines(log)}")
        time.sleep(_POLL_S)


def _code_server(port: int | None) -> list[str]:
    module = ["--module-name", "orchestration.location", "--working-directory", str(ROOT)]
    return ["-m", "dagster", "api", "grpc", *module, "--host", HOST, "--port", str(port)]


def _daemon(workspace: Path) -> list[str]:
    return ["-c", "from dagster._daemon.cli import main; main()", "run", "-w", str(workspace)]


def _webserver(port: int | None, workspace: Path) -> list[str]:
    return ["-m", "dagster_webserver", "-h", HOST, "-p", str(port), "-w", str(workspace)]
