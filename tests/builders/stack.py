"""Stacks of a test's own, in a folder of its own, with two small regions."""

import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

import stack
from stack.layout import Layout
from stack.processes import Running, start_mark

_PREFIX = "fleetlake-test-"
SERVICES = ("s3", "kinesis", "redis", "postgres")
TWO_REGIONS = """
[eu]
aws_region = "eu-central-1"
time_zone = "Europe/Berlin"
legal_regime = "GDPR"
retention_days = 30
stream_shards = 1
history_buckets = 1

[us]
aws_region = "us-east-2"
time_zone = "America/Chicago"
legal_regime = "CCPA"
retention_days = 30
stream_shards = 1
history_buckets = 1
"""


@contextmanager
def stack_folder() -> Iterator[tuple[Path, Path]]:
    """A state folder where nothing was started yet, and a region table; whatever was started there is ended."""
    with state_parent() as folder:
        regions = folder / "regions.toml"
        regions.write_text(TWO_REGIONS, encoding="utf-8")
        try:
            yield folder / "state", regions
        finally:
            stack.down(folder / "state")


@contextmanager
def state_parent() -> Iterator[Path]:
    """A folder that the system user of Postgres may enter, as pytest's own may not. Clears what killed tests left."""
    _end_abandoned()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    folder.chmod(0o755)
    owner = {"pid": os.getpid(), "started": start_mark(os.getpid())}
    (folder / "owner.json").write_text(json.dumps(owner), encoding="utf-8")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _end_abandoned() -> None:
    """End the stacks of test runs that were killed before they could: only where the run that owns it is gone."""
    for owned in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/owner.json"):
        with contextlib.suppress(FileNotFoundError, ValueError):
            owner = json.loads(owned.read_text(encoding="utf-8"))
            if not _still_runs(owner["pid"], owner["started"]):
                stack.down(owned.parent / "state")
                shutil.rmtree(owned.parent, ignore_errors=True)


def _still_runs(pid: int, started: str) -> bool:
    try:
        return start_mark(pid) == started
    except psutil.NoSuchProcess:
        return False


def process_of(state: Path, service: str) -> psutil.Process:
    """The process that the stack recorded for a service."""
    record = Layout.of(state).process(service)
    return psutil.Process(msgspec.json.decode(record.read_bytes(), type=Running).pid)


def processes_of(state: Path) -> list[psutil.Process]:
    """Every process of the stack, children included."""
    own = [process_of(state, service) for service in SERVICES]
    return own + [child for process in own for child in process.children(recursive=True)]


def gone(process: psutil.Process) -> bool:
    """Whether it has ended, even while this is being asked."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def kill(process: psutil.Process) -> None:
    """kill -9, and wait until it is gone."""
    os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: gone(process))


def eventually(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    """Wait for a condition. Fails where it does not come true in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {within_s:.0f} s: {condition}"
        time.sleep(0.02)


def environment_of_a_user(**further: str) -> dict[str, str]:
    """This process's environment as a user has it: of no region, and with these variables."""
    return {key: value for key, value in os.environ.items() if not key.startswith("FLEETLAKE_")} | further
