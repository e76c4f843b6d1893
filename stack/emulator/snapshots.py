"""Consistent snapshots of ministack's memory, every few seconds and on exit.

ministack saves its state only on a clean exit, so a crash would lose every record, lease and ledger entry since the
last start. Here a forked child writes the server's memory as of one moment between two requests, as Redis does: the
server continues meanwhile, and streams and ledger are from the same moment. A crash takes the ledger and the leases
back by seconds. The streams' records are in no snapshot, but in a log (put_log.py).
"""

import asyncio
import contextlib
import copy
import ctypes
import json
import os
import resource
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from stack.emulator.put_log import PutLog

_NOTHING_NEW = ("Get", "List", "Describe", "Query", "Scan", "BatchGet", "TransactGet", "PutRecord")
"""Actions that a snapshot need not follow: reads, and records, which are in the log."""
_PAUSE_S = 1.0
_SHARE_OF_CPU = 0.1
"""At most this share of one core, however much there is to write."""
_PR_SET_PDEATHSIG = 1
_CHILD_LIMIT_S = 300
_FIRST_AFTER_OUTPUT = 3
"""The first file descriptor after stdin, stdout and stderr."""


class Snapshots:
    """Writes snapshots of ministack (its module `app`) into the folder of STATE_DIR, which has to end in `current`.

    `current` is a symbolic link to the newest complete snapshot, and is replaced atomically.
    """

    def __init__(self, ministack: Any) -> None:
        from ministack.core import persistence

        self._ministack, self._persistence = ministack, persistence
        self._current = Path(persistence.STATE_DIR)
        self._changes = 0
        self._log = PutLog(self._current.parent)
        self._child: int | None = None

    def install(self) -> None:
        """Make ministack write snapshots while it serves, and one on exit instead of its own way of saving."""
        for left in self._current.parent.glob("snapshot-*"):
            if left != self._newest():
                shutil.rmtree(left, ignore_errors=True)
        self._ministack.save_all = self._write_last
        self._log.install()
        self._ministack.app = self._counting(self._ministack.app)

    def _counting(self, serve: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """The server, counting requests that change something; its start also starts the snapshots."""
        tasks: list[asyncio.Task[None]] = []

        async def app(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan" and not tasks:
                tasks.append(asyncio.create_task(self._keep_writing()))
            await serve(scope, receive, send)
            if scope["type"] == "http" and not _nothing_new(scope):
                self._changes += 1

        return app

    async def _keep_writing(self) -> None:
        written, pause_s = self._changes, _PAUSE_S
        while True:
            await asyncio.sleep(pause_s)
            if self._changes == written:
                continue
            written = self._changes
            self._child = self._fork_and_write()
            _, _, used = await asyncio.to_thread(os.wait4, self._child, 0)
            self._child = None
            pause_s = max(_PAUSE_S, (used.ru_utime + used.ru_stime) / _SHARE_OF_CPU)

    def _fork_and_write(self) -> int:
        """Fork between two requests (handlers do not yield), so that the child never sees half of a request."""
        server = os.getpid()
        child = os.fork()
        if child:
            return child
        code = 1
        with contextlib.suppress(BaseException):
            _end_with(server)
            _close_sockets()
            self._write(self._ministack._build_persistence_save_dict())
            code = 0
        os._exit(code)

    def _write_last(self, services: Mapping[str, Callable[[], Any]]) -> None:
        """At the end, when nothing is put any more. A child that still writes would replace it by an older one."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)
        self._write(services)

    def _write(self, services: Mapping[str, Callable[[], Any]]) -> None:
        folder = self._current.parent / f"snapshot-{time.time_ns()}"
        folder.mkdir(parents=True)
        previous = self._newest()
        self._log.leave_out_records()
        self._persistence.STATE_DIR = str(folder)
        # Nothing changes while this runs: it is a child, or the server at its end. So no copies, and JSON in one piece,
        # which together take a tenth of the time.
        with _replaced(copy, "deepcopy", _itself), _replaced(self._persistence.json, "dump", _dump):
            self._persistence.save_all(services)
        link = folder.with_name(f"link-{folder.name}")
        link.symlink_to(folder.name)
        link.replace(self._current)
        if previous is not None:
            shutil.rmtree(previous, ignore_errors=True)

    def _newest(self) -> Path | None:
        return self._current.resolve() if self._current.is_symlink() else None


def _end_with(server: int) -> None:
    """End this child with its server, even if that has ended already, and after _CHILD_LIMIT_S in any case."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_CHILD_LIMIT_S)
    if os.getppid() != server:
        raise ProcessLookupError(server)


def _close_sockets() -> None:
    """A child that outlives a killed server would hold its port, and `up` would have to choose another."""
    os.closerange(_FIRST_AFTER_OUTPUT, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _nothing_new(scope: Mapping[str, Any]) -> bool:
    """Whether a snapshot would be the same after the request. IAM has its action in the body: always new."""
    target = dict(scope["headers"]).get(b"x-amz-target", b"").decode("latin-1").rpartition(".")[2]
    return target.startswith(_NOTHING_NEW) or bool(scope["method"] == "GET")


@contextlib.contextmanager
def _replaced(module: Any, name: str, by: Any) -> Iterator[None]:
    own = getattr(module, name)
    setattr(module, name, by)
    try:
        yield
    finally:
        setattr(module, name, own)


def _dump(value: Any, file: IO[str], **options: Any) -> None:
    file.write(json.dumps(value, **options))


def _itself(value: Any, _memo: Any = None) -> Any:
    """Instead of a deep copy."""
    return value
