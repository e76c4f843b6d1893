"""Processes that outlive the command that started them, identified by pid and start time."""

import contextlib
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psutil

from stack.private_files import write_private

_LINUX = Path("/proc/self/stat").exists()
_START_FIELD = 19
"""Index of the start time (ticks since boot) in /proc/PID/stat, counted after the command's name."""


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """The record of a started process, with the digest of its configuration."""

    pid: int
    started: str
    boot_id: str
    digest: str


@dataclass(frozen=True, slots=True)
class Command:
    """What to run. `environment` is the whole environment of the process; `user` None means the caller."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    user: int | None = None


def start(command: Command, log: Path, record: Path, digest: str) -> subprocess.Popen[bytes]:
    """Start it in a session of its own, append its output to `log`, and write its record."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(command.arguments),
            env=dict(command.environment),
            cwd=command.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **run_as(command.user),
        )
    with contextlib.suppress(psutil.NoSuchProcess):
        running = Running(pid=process.pid, started=start_mark(process.pid), boot_id=boot_id(), digest=digest)
        write_private(record, msgspec.json.encode(running).decode())
    return process


def run_as(user: int | None) -> dict[str, Any]:
    """Arguments of subprocess.Popen that run a command as this user, with its own group only; none for None."""
    return {} if user is None else {"user": user, "group": pwd.getpwuid(user).pw_gid, "extra_groups": []}


def find(record: Path) -> tuple[psutil.Process, Running] | None:
    """The recorded process if it still runs.

    A reused pid, or one from before a reboot, does not match.
    """
    try:
        running = msgspec.json.decode(record.read_bytes(), type=Running)
        process = psutil.Process(running.pid)
        same = start_mark(running.pid) == running.started and boot_id() == running.boot_id
        alive = process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except (FileNotFoundError, msgspec.DecodeError, psutil.NoSuchProcess):
        return None
    return (process, running) if same and alive else None


def stop(record: Path, ask: signal.Signals, patience_s: float) -> None:
    """Stop the recorded process and its children; kill those that still run after `patience_s`."""
    found = find(record)
    if found is not None:
        process, _ = found
        family = [process, *_children(process)]
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(ask)
        left = _left_after(patience_s, family)
        for one in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        _left_after(10, left)
    record.unlink(missing_ok=True)


def _left_after(timeout_s: float, family: Sequence[psutil.Process]) -> list[psutil.Process]:
    """The processes that still run after `timeout_s`. A zombie counts as ended."""
    left, deadline = list(family), time.monotonic() + timeout_s
    while left and time.monotonic() < deadline:
        _, left = psutil.wait_procs(left, timeout=0.1)
        left = [process for process in left if not _is_zombie(process)]
    return left


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def start_mark(pid: int) -> str:
    """The start time of a process by a monotonic clock, which tells it from a later process with the same pid.

    Raises psutil.NoSuchProcess.
    """
    if not _LINUX:
        return str(psutil.Process(pid).create_time())
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[_START_FIELD]
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(pid) from None


def boot_id() -> str:
    """An id that changes with every boot."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return str(int(psutil.boot_time()))
