"""A stack of the consumer's own: its tests fill leases, ledger and stream with what no other test should meet."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import stack as embedded
from contracts.settings import RegionSettings
from tests.builders.consumer_process import APART, CHAOTIC, region_file


@pytest.fixture(scope="session")
def one_region() -> Iterator[Path]:
    """A stack with one region of four shards; beside it CHAOTIC and APART, for what would break its counts."""
    state = Path(tempfile.mkdtemp(prefix="fleetlake-consumer-"))
    try:
        embedded.up(state, region_file(state, shards=4, regions=("eu", CHAOTIC, APART)))
        yield state
    finally:
        embedded.down(state)
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="session")
def apart(one_region: Path) -> RegionSettings:
    """Settings of a process of APART."""
    return RegionSettings.load(embedded.region_environment(one_region, APART, {}))
