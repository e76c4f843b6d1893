"""Consumers to kill, on a region of their own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import stack as embedded
from contracts.settings import RegionSettings
from tests.builders.consumer_process import Aftermath, ConsumerProcess, put


@dataclass(frozen=True)
class Ground:
    """One region, its consumers and what they leave. Tests share the stream: look at your own event ids."""

    state: Path
    settings: RegionSettings
    aftermath: Aftermath
    processes: list[ConsumerProcess]

    def consumer(self, *, workers: int = 1, **tuning: object) -> ConsumerProcess:
        """Start a consumer of so many workers; it ends with the test at the latest."""
        quick: dict[str, object] = {"flush_age_s": 0.3, "lease_ttl_s": 2}
        process = ConsumerProcess(
            embedded.region_environment(self.state, "eu", {}), workers=workers, **{**quick, **tuning}
        )
        self.processes.append(process)
        return process

    def put(self, count: int, first: int) -> set[str]:
        """Put records with event ids from `first` on."""
        return put(self.settings, count, first=first)


@pytest.fixture
def ground(one_region: Path) -> Iterator[Ground]:
    """The region, with no consumer running before or after."""
    settings = RegionSettings.load(embedded.region_environment(one_region, "eu", {}))
    found = Ground(one_region, settings, Aftermath(settings), [])
    yield found
    for process in found.processes:
        process.kill()
