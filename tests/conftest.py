"""The real embedded stack, started once a test session in a folder of its own."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import stack as embedded
from contracts.settings import RegionSettings, WorldSettings


@dataclass(frozen=True)
class RunningStack:
    """The session's stack. Regions are those of the project's regions.toml."""

    state: Path

    def environment(self, region: str) -> dict[str, str]:
        """FLEETLAKE_* variables of a process of that region (or of `world`)."""
        if region == "world":
            return embedded.world_environment(self.state, {})
        return embedded.region_environment(self.state, region, {})

    def settings(self, region: str) -> RegionSettings:
        """Settings of a process of that region."""
        return RegionSettings.load(self.environment(region))

    def world_settings(self) -> WorldSettings:
        """Settings of the world pipeline."""
        return WorldSettings.load(self.environment("world"))

    def dagster_environment(self) -> dict[str, str]:
        """FLEETLAKE_DAGSTER_DSN and DAGSTER_HOME."""
        return embedded.dagster_environment(self.state)


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    """All four services, with every region provisioned. Tests share it: use device ids and keys of your own."""
    # Not tmp_path_factory: its folders are closed to the system user that runs Postgres under root.
    state = Path(tempfile.mkdtemp(prefix="fleetlake-test-"))
    try:
        embedded.up(state)
        yield RunningStack(state)
    finally:
        embedded.down(state)
        shutil.rmtree(state, ignore_errors=True)
