"""ministack's memory on disk, as of one moment, every few seconds and when it ends.

ministack writes its state down only when it is told to end, so a crash would lose every record, lease and ledger entry
since the last start. Here a forked child writes what the server held at one moment between two requests, the way Redis
saves: the server goes on meanwhile, streams and ledger never come from two moments, and a crash loses seconds.
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

_READS = ("Get", "List", "Describe", "Query", "Scan", "BatchGet", "TransactGet")
_PAUSE_S = 1.0
_SHARE_OF_CPU = 0.1
"""Of one core, at most, however much there is to write."""
_PR_SET_PDEATHSIG = 1
_CHILD_LIMIT_S = 300
_FIRST_AFTER_OUTPUT = 3
"""The first file descriptor after input, output and errors."""


class Snapshots:
    """Writes snapshots of ministack (its module `app`) below STATE_DIR, which has to end in `current`.

    `current` is a symbolic link to the newest whole snapshot, and is replaced in one step.
    """

    def __init__(self, ministack: Any) -> None:
        from ministack.core import persistence

        self._ministack, self._persistence = ministack, persistence
        self._current = Path(persistence.STATE_DIR)
        self._changes = 0

    def install(self) -> None:
        """Have ministack take a snapshot at its end in place of its own way of saving, and others while it serves."""
        for left in self._current.parent.glob("snapshot-*"):
            if left != self._newest():
                shutil.rmtree(left, ignore_errors=True)
        self._ministack.save_all = self._write
        self._ministack.app = self._counting(self._ministack.app)

    def _counting(self, serve: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """The server, noticing requests that change something; its start also starts the snapshots."""
        tasks: list[asyncio.Task[None]] = []

        async def app(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan" and not tasks:
                tasks.append(asyncio.create_task(self._keep_writing()))
            await serve(scope, receive, send)
            if scope["type"] == "http" and not _only_reads(scope):
                self._changes += 1

        return app

    async def _keep_writing(self) -> None:
        written, pause_s = self._changes, _PAUSE_S
        while True:
            await asyncio.sleep(pause_s)
            if self._changes == written:
                continue
            written = self._changes
            _, _, used = await asyncio.to_thread(os.wait4, self._fork_and_write(), 0)
            pause_s = max(_PAUSE_S, (used.ru_utime + used.ru_stime) / _SHARE_OF_CPU)

    def _fork_and_write(self) -> int:
        """Runs between two requests, since handlers do not yield: what the child sees is no request half done."""
        server = os.getpid()
        child = os.fork()
        if child:
            return child
        code = 1
        with contextlib.suppress(BaseException):
            _depend_on(server)
            _let_go_of_sockets()
            self._write(self._ministack._build_persistence_save_dict())
            code = 0
        os._exit(code)

    def _write(self, services: Mapping[str, Callable[[], Any]]) -> None:
        folder = self._current.parent / f"snapshot-{time.time_ns()}"
        folder.mkdir(parents=True)
        previous = self._newest()
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


def _depend_on(server: int) -> None:
    """The child ends with its server, even one that ended before this was asked for, and after a time of its own."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_CHILD_LIMIT_S)
    if os.getppid() != server:
        raise ProcessLookupError(server)


def _let_go_of_sockets() -> None:
    """Else a child that outlives a killed server by a moment still holds its port, and `up` has to choose another."""
    os.closerange(_FIRST_AFTER_OUTPUT, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _only_reads(scope: Mapping[str, Any]) -> bool:
    """Whether the request can have changed nothing. IAM's requests name their action in the body: they count."""
    target = dict(scope["headers"]).get(b"x-amz-target", b"").decode("latin-1").rpartition(".")[2]
    return target.startswith(_READS) or bool(scope["method"] == "GET")


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
