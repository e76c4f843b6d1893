"""The commands of the demo, one after the other, each with its log; and the memory of all that runs."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil

import stack
from contracts.errors import FleetlakeError
from stack import processes


class StepFailed(FleetlakeError):
    """A command of the demo ended with another exit code than 0."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One command that ran. Times are seconds since the demo began."""

    name: str
    region: str
    began_s: float
    seconds: float
    document: dict[str, Any]
    """What the command printed as JSON."""


class Steps:
    """Runs fleetlake commands. Safe to use from several threads."""

    def __init__(self, folder: Path, environment: Mapping[str, str], tell: Callable[[str], None]) -> None:
        self._folder = folder
        self._environment = environment
        self._tell = tell
        self._began = time.monotonic()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._ending = threading.Event()
        self.done: list[Step] = []
        folder.mkdir(parents=True, exist_ok=True)

    def elapsed_s(self) -> float:
        """Since the demo began."""
        return time.monotonic() - self._began

    def run(self, name: str, region: str, words: Sequence[str], *, may_fail: bool = False) -> Step:
        """Run `fleetlake WORDS`, its messages in a log of its own.

        may_fail: an exit code of 1 with a document is a result. Raises StepFailed, which names command and log.
        """
        if self._ending.is_set():
            raise StepFailed(f"{name} {region} was not started: the demo has ended")
        log = self._folder / f"{name}{'-' + region if region else ''}.log"
        began = self.elapsed_s()
        code, output = self._execute([sys.executable, "-m", "cli.main", *words], log)
        document = _document(output)
        if code != 0 and not (may_fail and code == 1 and document):
            raise StepFailed(
                f"`fleetlake {' '.join(words)}` ended with code {code}: {_last_line(log)}\n"
                f"  its log is {log}; mend what it says and run the demo again: it carries on from what is there"
            )
        step = Step(name=name, region=region, began_s=began, seconds=self.elapsed_s() - began, document=document)
        self.done.append(step)
        self._tell(f"{self.elapsed_s():6.0f} s  {name}{' ' + region if region else ''} took {step.seconds:.1f} s")
        return step

    def end(self) -> None:
        """End what still runs, and start nothing more."""
        self._ending.set()
        for process in list(self._running):
            process.terminate()

    def _execute(self, command: list[str], log: Path) -> tuple[int, str]:
        with log.open("wb") as messages:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=messages, stdin=subprocess.DEVNULL, env=dict(self._environment)
            )
            self._running.add(process)
            try:
                output, _ = process.communicate()
            finally:
                self._running.discard(process)
        return process.returncode, output.decode(errors="replace")


class Watch:
    """Samples memory and processor time of this process, of all it started, and of the stack's services."""

    def __init__(self, state: Path, every_s: float = 2.0) -> None:
        self._state = state
        self._ended = threading.Event()
        self._every_s = every_s
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)
        self._used_s: dict[tuple[int, float], tuple[float, float]] = {}
        self.peak_bytes = 0

    @property
    def processor_s(self) -> float:
        """Processor time of all of them meanwhile, to within one sample of each."""
        return sum(last - first for first, last in self._used_s.values())

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        known = {_identity(process) for process in self._processes()}
        while not self._ended.wait(self._every_s):
            alive = self._processes()
            self.peak_bytes = max(self.peak_bytes, sum(map(_bytes_of, alive)))
            for process in alive:
                key, used_s = _identity(process), _processor_s(process)
                # What started meanwhile counts from its beginning, the services that ran before from here.
                first = self._used_s[key][0] if key in self._used_s else (used_s if key in known else 0.0)
                self._used_s[key] = (first, max(used_s, first))

    def _processes(self) -> list[psutil.Process]:
        roots = [psutil.Process(), *_services(self._state)]
        found: dict[int, psutil.Process] = {}
        for root in roots:
            try:
                found |= {process.pid: process for process in [root, *root.children(recursive=True)]}
            except psutil.NoSuchProcess:
                continue
        return list(found.values())


def _services(state: Path) -> list[psutil.Process]:
    try:
        site = stack.running_site(state)
    except FleetlakeError:
        return []  # Not up yet: the services that start are children of `fleetlake up`.
    found = [processes.find(path) for path in site.layout.root.glob("run/*.json")]
    return [entry[0] for entry in found if entry is not None]


def _bytes_of(process: psutil.Process) -> int:
    """Its share of the memory that it maps where the kernel says so (Postgres' processes share theirs), else all."""
    try:
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
        return next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return _resident(process)


def _identity(process: psutil.Process) -> tuple[int, float]:
    return process.pid, process.create_time()


def _processor_s(process: psutil.Process) -> float:
    try:
        used = process.cpu_times()
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return 0.0
    return float(used.user + used.system)


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return 0


def _document(output: str) -> dict[str, Any]:
    text = output.strip()
    try:
        value = json.loads(text if text.startswith("{\n") else text.rpartition("\n")[2])
    except json.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
