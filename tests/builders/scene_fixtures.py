"""A stack of their own: reconciliation counts all that a region holds, so nothing else may write to it."""

import shutil
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

import stack as embedded
from contracts.settings import RegionSettings
from tests.builders.consumer_process import region_file
from tests.builders.query import DAY, Rows, again
from tests.builders.scene import Scene


@pytest.fixture(scope="session")
def own_stack() -> Iterator[Path]:
    state = Path(tempfile.mkdtemp(prefix="fleetlake-reconcile-"))
    try:
        embedded.up(state)
        yield state
    finally:
        embedded.down(state)
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="module")
def one_region() -> Iterator[Path]:
    """A stack that these tests share with no others: they change what a proof of all counts."""
    state = Path(tempfile.mkdtemp(prefix="fleetlake-reconcile-"))
    try:
        embedded.up(state, region_file(state, shards=4))
        yield state
    finally:
        embedded.down(state)
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="session")
def empty_region(own_stack: Path) -> RegionSettings:
    """A region that nothing was ever sent to."""
    return RegionSettings.load(embedded.region_environment(own_stack, "af", {}))


@pytest.fixture(scope="session")
def scene(own_stack: Path) -> Scene:
    """Region eu with two shards read, duplicates, stragglers, rejected and suppressed records; all processed.

    600 landed of 646 user records: 560 distinct; 41 rejected (40 + 1), 5 suppressed.
    """
    made = Scene(RegionSettings.load(embedded.region_environment(own_stack, "eu", {})))
    rows = Rows()
    first = rows.make(devices=10, each=30, start=DAY + timedelta(hours=7, minutes=5))
    second = rows.make(devices=10, each=20, start=DAY + timedelta(hours=8, minutes=5), shard="shardId-000000000003")
    late = rows.make(devices=6, each=10, start=DAY - timedelta(days=1), late=timedelta(days=1, hours=9))
    copies = again(first.slice(0, 40), timedelta(hours=2))
    made.flush(first, rejected=40)
    made.flush(second, place=1, suppressed=5)
    made.flush(pa.concat_tables([late, copies]), rejected=1)
    made.merge(pa.concat_tables([first, second]))
    made.merge(pa.concat_tables([late, copies]), "stragglers")
    made.load(made.derive())
    return made
