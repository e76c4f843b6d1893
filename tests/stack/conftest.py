"""One stack for the tests that kill, stop and start."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import stack as embedded
from contracts.settings import RegionSettings
from tests.builders.stack import stack_folder


@dataclass(frozen=True)
class OwnStack:
    """A stack with regions eu and us that a test may treat badly. `up` brings it back."""

    state: Path
    regions_file: Path

    def up(self, **options: object) -> None:
        """`fleetlake up`."""
        embedded.up(self.state, self.regions_file, **options)

    def settings(self, region: str) -> RegionSettings:
        """Settings of a process of that region."""
        return RegionSettings.load(embedded.region_environment(self.state, region, {}))


@pytest.fixture(scope="package")
def _own_stack() -> Iterator[OwnStack]:
    with stack_folder() as (state, regions_file):
        yield OwnStack(state, regions_file)


@pytest.fixture
def own_stack(_own_stack: OwnStack) -> OwnStack:
    """Up when the test starts, whatever the one before did to it."""
    _own_stack.up()
    return _own_stack
