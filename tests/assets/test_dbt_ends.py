"""A build of dbt that fails takes its process with it, and says why it failed."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

from assets import dbt
from assets.redaction import StepFailed

BUSY = """
import pathlib, sys, time
for number in range(10**9):
    (pathlib.Path(sys.argv[1]) / str(number)).touch()
    print(number, flush=True)
    time.sleep(0.001)
"""
"""Writes into dbt's folder as long as it runs."""


class UnknownModel:
    """An invocation whose project has a model that the run's manifest has not."""

    def __init__(self, artifacts: Path) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", BUSY, str(artifacts)], stdout=subprocess.PIPE)

    def stream(self) -> Iterator[str]:
        assert self.process.stdout is not None
        with self.process.stdout as said:
            yield str(said.readline())
            raise KeyError("model.fleetlake.new_mart")


def test_dbt_does_not_outlive_the_step_that_started_it(monkeypatch) -> None:
    started: list[UnknownModel] = []

    def start(_context, _region, _days, _variables, artifacts: Path) -> UnknownModel:
        started.append(UnknownModel(artifacts))
        return started[0]

    monkeypatch.setattr(dbt, "_dbt_build", start)
    database = SimpleNamespace(dbt_environment=dict, away=lambda: None)
    with pytest.raises(StepFailed, match="KeyError"):
        list(dbt.built(SimpleNamespace(), "eu", [date(2026, 11, 30)], database, None))
    assert started[0].process.poll() is not None
