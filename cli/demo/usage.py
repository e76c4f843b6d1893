"""Peak memory and processor time of everything that the demo runs."""

import threading
from pathlib import Path

import psutil

import stack
from contracts.errors import FleetlakeError
from stack import processes


class UsageMonitor:
    """Samples the memory and processor time of this process, its children and the stack's services."""

    def __init__(self, state: Path, every_s: float = 2.0) -> None:
        self._state = state
        self._ended = threading.Event()
        self._every_s = every_s
        self._thread = threading.Thread(target=self._sample, name="memory", daemon=True)
        self._used_s: dict[tuple[int, float], tuple[float, float]] = {}
        self.peak_bytes = 0

    @property
    def processor_s(self) -> float:
        """Processor time they used while monitored, to within one sample each."""
        return sum(last - first for first, last in self._used_s.values())

    def __enter__(self) -> "UsageMonitor":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        known = {_identity(process) for process in self._processes()}
        while not self._ended.wait(self._every_s):
            alive = self._processes()
            self.peak_bytes = max(self.peak_bytes, sum(map(_bytes_of, alive)))
            for process in alive:
                key, used_s = _identity(process), _processor_s(process)
                # A process that started meanwhile counts whole; a service that ran before counts from its first sample.
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
    """The process's proportional share of its memory (Postgres' processes share theirs), or all where unknown."""
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
