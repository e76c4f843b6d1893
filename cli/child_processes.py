"""Child processes of a command: they are terminated with it, and their last output is waited for."""

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Self

END_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class ChildProcesses:
    """Fleetlake commands of one region each. None of them outlives the `with` block."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[str]] = []
        self.ending = False
        """Whether this process was told to end; then no further child needs to be started."""

    def __enter__(self) -> Self:
        self._before = [signal.signal(number, self._end) for number in END_SIGNALS]
        return self

    def __exit__(self, *_: object) -> None:
        self._terminate()
        for process in self._started:
            process.wait()
        for number, handler in zip(END_SIGNALS, self._before, strict=True):
            signal.signal(number, handler)

    def start(self, words: Sequence[str], region: str, environment: Mapping[str, str]) -> "subprocess.Popen[str]":
        """Start `fleetlake WORDS --region REGION` with its output in pipes."""
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", *words, "--region", region],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        self._started.append(process)
        if self.ending:
            process.terminate()
        return process

    def _end(self, _signal: int, _frame: FrameType | None) -> None:
        self.ending = True
        self._terminate()

    def _terminate(self) -> None:
        for process in list(self._started):
            if process.poll() is None:
                process.terminate()
