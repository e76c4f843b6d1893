"""The real embedded stack, started once a test session in a folder of its own."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest
import structlog

import stack as embedded
from contracts.settings import RegionSettings, WorldSettings
from orchestration.local.priority import VARIABLE
from tests.builders.stack import state_parent

SLOW_FIRST = (
    "endtoend",
    "orchestration",
    "lake",
    "reconcile",
    "release",
    "assets",
    "simulation",
    "dbt_project",
    "stack",
    "ingest",
)
"""Rooms whose files are long. Where processes share the files, what is long must not come last."""
NOT_FAST = ("endtoend", "orchestration", "stack", "dbt_project", "lake/spark", "lake/derive", "lake/merge")
"""Folders whose tests start services, Spark or Dagster's processes themselves, or all ask for them."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --fast."""
    parser.addoption("--fast", action="store_true", help="Leave out the tests that need Spark or the embedded stack.")


def pytest_configure(config: pytest.Config) -> None:
    """With --fast a test that starts an embedded stack is skipped.

    Where tests run side by side, processing does not give way: it would wait for the other tests.
    """
    os.environ.setdefault(VARIABLE, "0")
    if config.getoption("--fast"):
        embedded.up = _skip


def pytest_report_header(config: pytest.Config) -> list[str]:
    """What --fast leaves out."""
    if not config.getoption("--fast"):
        return []
    return [
        f"fast: without {', '.join(f'tests/{folder}' for folder in NOT_FAST)}; tests that need the stack are skipped"
    ]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With --fast the folders of NOT_FAST are not read."""
    here = Path(__file__).parent
    return True if config.getoption("--fast") and collection_path in {here / name for name in NOT_FAST} else None


def _skip(*_: object, **__: object) -> NoReturn:
    pytest.skip("needs the embedded stack, which --fast leaves out")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow rooms first; within a room the order stays."""
    ranks = {room: rank for rank, room in enumerate(SLOW_FIRST)}
    here = Path(__file__).parent
    items.sort(key=lambda item: ranks.get(item.path.relative_to(here).parts[0], len(ranks)))


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


@pytest.fixture(autouse=True)
def default_log() -> Iterator[None]:
    """Each test logs as structlog does by default: what one has configured writes to a file that is closed by then."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    """All four services, with every region provisioned. Tests share it: use device ids and keys of your own."""
    with state_parent() as folder:
        try:
            embedded.up(folder / "state")
            yield RunningStack(folder / "state")
        finally:
            embedded.down(folder / "state")
