"""A service whose first start fails is started again, however slowly the failed process ends."""

import signal
import socket
import sys
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from contracts.errors import ServiceFailed
from contracts.ports import HOST
from stack import credentials, running
from stack.layout import Layout
from stack.processes import Command, find
from stack.site import Site

_LEADER_ENDS_FIRST = """
import ctypes, os, threading, time
threading.Thread(target=lambda: (time.sleep(1.5), os._exit(7))).start()
ctypes.CDLL(None).pthread_exit(None)
"""
"""The process is a zombie while its second thread runs, as one of many threads is for a moment whenever it fails."""
_SERVES = "import socket, sys, time; held = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(600)"


class Service:
    """A service of one port that runs one program after the other."""

    name: ClassVar[str] = "redis"
    port_names: ClassVar[tuple[str, ...]] = ("redis",)
    stop_signal: ClassVar[signal.Signals] = signal.SIGKILL
    patience_s: ClassVar[float] = 5.0

    def __init__(self, site: Site, programs: list[str]) -> None:
        self._site = site
        self._programs = programs

    def digest(self) -> str:
        return "1"

    def prepare(self) -> Command:
        words = [sys.executable, "-c", self._programs.pop(0), str(self._site.ports["redis"])]
        return Command(words, {}, self._site.layout.root)

    def healthy(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex((HOST, self._site.ports["redis"])) == 0

    def provision(self) -> None: ...

    def tidy(self) -> None: ...


@pytest.fixture
def site(tmp_path: Path) -> Site:
    layout = Layout.of(tmp_path)
    for folder in (layout.log("redis").parent, layout.process("redis").parent):
        folder.mkdir(parents=True, exist_ok=True)
    return Site(layout, tmp_path / "regions.toml", {}, credentials.load_or_make(layout, {}))


def test_a_process_that_ends_slowly_is_started_again(site: Site) -> None:
    service = Service(site, [_LEADER_ENDS_FIRST, _SERVES])
    running.ensure(service, site, {}, set(), lambda _: None)
    found = find(site.layout.process("redis"))
    assert found is not None
    assert found[0].status() != psutil.STATUS_ZOMBIE
    running.stop(service, site, lambda _: None)


def test_the_exit_code_of_the_last_attempt_is_told(site: Site) -> None:
    service = Service(site, [_LEADER_ENDS_FIRST] * 3)
    with pytest.raises(ServiceFailed, match="redis ended with code 7 while starting"):
        running.ensure(service, site, {}, set(), lambda _: None)
