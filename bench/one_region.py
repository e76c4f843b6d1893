"""A stack of one region for a benchmark, and its empty lake.

The region's table belongs to tests/, which is not installed: its folder is added to the path.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import stack
from contracts.settings import RegionSettings

sys.path.append(str(Path(__file__).resolve().parents[1]))
from tests.builders.consumer_process import region_file

REGION = "eu"


@contextmanager
def stack_of_one_region(shards: int = 1, buckets: int = 2) -> Iterator[Path]:
    """A stack with one region; yields its state folder. buckets: of history's partitions."""
    with tempfile.TemporaryDirectory(prefix="fleetlake-bench-") as folder:
        state = Path(folder)
        try:
            stack.up(state, region_file(state, shards=shards, buckets=buckets))
            yield state
        finally:
            stack.down(state)


@contextmanager
def lake_of_one_region(buckets: int = 4) -> Iterator[RegionSettings]:
    """Settings of a region whose tables are there and empty."""
    from lake.iceberg.tables import ensure_tables

    with stack_of_one_region(buckets=buckets) as state:
        settings = RegionSettings.load(stack.region_environment(state, REGION))
        ensure_tables(settings)
        yield settings
