"""Runs the `fleetlake` command as a user does: a process of its own, against a stack's state folder."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestration.local.priority import VARIABLE

FLEETLAKE = Path(sys.executable).with_name("fleetlake")
COMMAND_S = 1500.0
"""Longer than pytest lets a test of `make test` take: what hangs is told with the test's own traceback."""


def environment(state: Path, **more: str) -> dict[str, str]:
    """The caller's environment with no FLEETLAKE_ variable but tests' niceness, the state folder and those given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLEETLAKE_")}
    return {**kept, VARIABLE: os.environ.get(VARIABLE, ""), "FLEETLAKE_STATE": str(state), **more}


def fleetlake(state: Path, *words: str, timeout_s: float = COMMAND_S, **more: str) -> subprocess.CompletedProcess[str]:
    """One command, run to its end; the caller looks at returncode, stdout and stderr."""
    return subprocess.run(
        [str(FLEETLAKE), *words],
        env=environment(state, **more), capture_output=True, text=True, timeout=timeout_s, check=False,
    )  # fmt: skip


def reported(state: Path, *words: str, timeout_s: float = COMMAND_S, **more: str) -> Any:
    """What a command reports with --json, after it has ended with 0."""
    done = fleetlake(state, *words, "--json", timeout_s=timeout_s, **more)
    assert done.returncode == 0, f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


@contextmanager
def docs_of(state: Path, region: str) -> Iterator[str]:
    """`fleetlake docs` while the block runs: the address that it says."""
    words = [str(FLEETLAKE), "docs", "--region", region]
    process = subprocess.Popen(words, env=environment(state), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert " at http://127.0.0.1:" in said, f"{said}{process.stderr.read() if process.stderr else ''}"
        yield said.split(" at ")[1].split()[0]
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0
