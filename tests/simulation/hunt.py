"""Many histories, one after another, over a few processes."""

import gc
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.simulation.history import Outcome, play
from tests.simulation.world import Made

_ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Found:
    """What a hunt came to."""

    histories: int = 0
    records: int = 0
    commits: int = 0
    seconds: float = 0.0
    failures: dict[int, list[str]] = field(default_factory=dict)

    def text(self) -> str:
        """For people: figures, and each failing seed with the command that plays it again."""
        rate = self.histories / self.seconds if self.seconds else 0.0
        lines = [
            f"{self.histories:,} histories in {self.seconds:.1f} s, {rate:.0f} a second: {self.records:,} records, "
            f"{self.commits:,} commits, {len(self.failures)} with a broken promise"
        ]
        for seed, broken in sorted(self.failures.items()):
            lines += [f"python -m tests.simulation --seed {seed} --trace", *(f"    {fault}" for fault in broken[:3])]
        return "\n".join(lines)

    def add(self, outcome: Outcome) -> None:
        """Count a history."""
        self.histories += 1
        self.records += outcome.records
        self.commits += outcome.commits
        if outcome.broken:
            self.failures[outcome.seed] = outcome.broken


def hunt(first: int, count: int, *, processes: int = 1, made: Made | None = None) -> Found:
    """Play the seeds from `first` on. With several processes each plays its share; `made` is for one only."""
    started_s = time.monotonic()
    found = _shared(first, count, processes) if processes > 1 else Found()
    if processes == 1:
        for seed in range(first, first + count):
            found.add(play(seed, made))
    found.seconds = time.monotonic() - started_s
    return found


def _shared(first: int, count: int, processes: int) -> Found:
    share = -(-count // processes)
    starts = range(first, first + count, share)
    running = [_started(start, min(share, first + count - start)) for start in starts]
    whole = Found()
    for process in running:
        out, _ = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"a process that played histories ended with {process.returncode}: {out[-2000:]}")
        part = json.loads(out.splitlines()[-1])
        whole.histories += part["histories"]
        whole.records += part["records"]
        whole.commits += part["commits"]
        whole.failures.update({int(seed): broken for seed, broken in part["failures"].items()})
    return whole


def _started(first: int, count: int) -> "subprocess.Popen[str]":
    code = f"from tests.simulation.hunt import report; report({first}, {count})"
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=_ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def report(first: int, count: int) -> None:
    """Play a share and print what came of it as one line of JSON."""
    gc.freeze()  # what was imported stays, so no collection between histories has to look at it
    found = hunt(first, count)
    parts = {name: getattr(found, name) for name in ("histories", "records", "commits", "failures")}
    print(json.dumps(parts))
