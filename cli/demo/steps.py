"""Runs the commands of the demo. Each has its own log."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from contracts.errors import FleetlakeError


class StepFailed(FleetlakeError):
    """A command of the demo failed."""


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
        """Run `fleetlake WORDS` and wait for it; its messages go to its log.

        may_fail: exit code 1 with a document is a result too. Raises StepFailed, which names the command and its log.
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
                f"  its log is {log}; fix what it says and run the demo again: it continues with what is there"
            )
        step = Step(name=name, region=region, began_s=began, seconds=self.elapsed_s() - began, document=document)
        self.done.append(step)
        self._tell(f"{self.elapsed_s():6.0f} s  {name}{' ' + region if region else ''} took {step.seconds:.1f} s")
        return step

    def end(self) -> None:
        """Terminate what still runs, and start nothing more."""
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
