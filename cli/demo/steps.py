"""Runs the commands of the demo. Each has its own log."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from contracts.errors import FleetlakeError

_LOOK_S = 0.1
_BEGIN_WITHIN_S, _END_WITHIN_S = 120.0, 60.0
"""For a command that runs beside others, until it says that it has begun, and once it is asked to end."""


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

    def run(
        self,
        name: str,
        region: str,
        words: Sequence[str],
        *,
        may_fail: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> Step:
        """Run `fleetlake WORDS` and wait for it; its messages go to its log.

        may_fail: exit code 1 with a document is a result too. settings: beside those of all steps. Raises StepFailed,
        which names the command and its log.
        """
        log, began = self._log(name, region), self.elapsed_s()
        with self._started(words, log, settings) as process:
            output, _ = process.communicate()
        return self._finish(name, region, words, log, began, process.returncode, output, may_fail=may_fail)

    @contextmanager
    def beside(
        self, name: str, region: str, words: Sequence[str], event: str, settings: Mapping[str, str]
    ) -> Iterator[dict[str, Any]]:
        """While inside, `fleetlake WORDS` runs; gives its log's line with that event. It is ended by SIGTERM.

        Raises StepFailed where it does not begin, or does not end well.
        """
        log, began = self._log(name, region), self.elapsed_s()
        with self._started(words, log, settings) as process:
            yield self._begun(words, log, process, event)
            process.terminate()
            try:
                output, _ = process.communicate(timeout=_END_WITHIN_S)
            except subprocess.TimeoutExpired:
                raise StepFailed(f"`fleetlake {' '.join(words)}` did not end; its log is {log}") from None
        self._finish(name, region, words, log, began, process.returncode, output)

    def end(self) -> None:
        """Terminate what still runs, and start nothing more."""
        self._ending.set()
        for process in list(self._running):
            process.terminate()

    def _log(self, name: str, region: str) -> Path:
        if self._ending.is_set():
            raise StepFailed(f"{name} {region} was not started: the demo has ended")
        return self._folder / f"{name}{'-' + region if region else ''}.log"

    @contextmanager
    def _started(
        self, words: Sequence[str], log: Path, settings: Mapping[str, str] | None
    ) -> "Iterator[subprocess.Popen[bytes]]":
        """A command that runs; it is killed where it still does at the end."""
        command = [sys.executable, "-m", "cli.main", *words]
        environment = {**self._environment, **(settings or {})}
        with log.open("wb") as messages:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=messages, stdin=subprocess.DEVNULL, env=environment
            )
            self._running.add(process)
            if self._ending.is_set():  # The demo ended while it started.
                process.terminate()
            try:
                yield process
            finally:
                self._running.discard(process)
                if process.poll() is None:
                    process.kill()
                    process.wait()

    def _begun(self, words: Sequence[str], log: Path, process: "subprocess.Popen[bytes]", event: str) -> dict[str, Any]:
        deadline = time.monotonic() + _BEGIN_WITHIN_S
        while time.monotonic() < deadline and process.poll() is None:
            for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
                if (said := _document(line)).get("event") == event:
                    return said
            time.sleep(_LOOK_S)
        raise StepFailed(f"`fleetlake {' '.join(words)}` did not begin: {_last_line(log)}\n  its log is {log}")

    def _finish(
        self,
        name: str,
        region: str,
        words: Sequence[str],
        log: Path,
        began: float,
        code: int,
        output: bytes,
        *,
        may_fail: bool = False,
    ) -> Step:
        document = _document(output.decode(errors="replace"))
        if code != 0 and not (may_fail and code == 1 and document):
            raise StepFailed(
                f"`fleetlake {' '.join(words)}` ended with code {code}: {_last_line(log)}\n"
                f"  its log is {log}; fix what it says and run the demo again: it continues with what is there"
            )
        step = Step(name=name, region=region, began_s=began, seconds=self.elapsed_s() - began, document=document)
        self.done.append(step)
        self._tell(f"{self.elapsed_s():6.0f} s  {name}{' ' + region if region else ''} took {step.seconds:.1f} s")
        return step


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
