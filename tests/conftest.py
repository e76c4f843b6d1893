"""The real embedded stack, started once a test session in a folder of its own."""

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

import stack as embedded
from contracts.settings import RegionSettings, WorldSettings
from tests.builders.stack import state_parent

ONE_SPARK = (
    "tests/lake/derive/", "tests/lake/merge/", "tests/lake/trips/",
    "tests/lake/test_main.py", "tests/lake/test_real_telemetry.py", "tests/lake/test_session.py",
)  # fmt: skip
ONE_SCENE = ("tests/lake/query/",)
TOGETHER = {"one Spark": ONE_SPARK, "one scene": ONE_SCENE}
"""Files that share what is costly to make: one process takes them all."""
LONGEST_FIRST = (
    ONE_SPARK, "tests/endtoend/test_real_data.py", "tests/orchestration/test_killed.py", "tests/simulation/",
    "tests/dbt_project/", "tests/lake/", "tests/stack/", "tests/assets/", "tests/orchestration/", "tests/ingest/",
)  # fmt: skip
"""Where processes share the files, what is long must not come last."""


class ByWhatIsShared(LoadScopeScheduling):
    """A file's tests go to one process, and files that are TOGETHER to the same."""

    def _split_scope(self, nodeid: str) -> str:
        for name, starts in TOGETHER.items():
            if nodeid.startswith(starts):
                return name
        return nodeid.split("::", 1)[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log) -> ByWhatIsShared:
    """How the tests are spread over processes, where there are several."""
    return ByWhatIsShared(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Longest first; among those of one rank the order stays."""
    items.sort(key=lambda item: next((n for n, start in enumerate(LONGEST_FIRST) if item.nodeid.startswith(start)), 99))


def pytest_collection_finish() -> None:
    """What the tests import stays: no collection needs to look at it again."""
    gc.freeze()


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
    with state_parent() as folder:
        try:
            embedded.up(folder / "state")
            yield RunningStack(folder / "state")
        finally:
            embedded.down(folder / "state")
