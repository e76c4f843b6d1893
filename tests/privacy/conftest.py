"""A stack of their own: an erasure searches all that a region keeps, and reconciliation counts it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import stack as embedded
from contracts.settings import RegionSettings
from tests.builders.erasing import Region
from tests.builders.lake import for_few_rows
from tests.builders.stack import stack_folder

ONE_REGION = """
[af]
aws_region = "af-south-1"
time_zone = "Africa/Johannesburg"
legal_regime = "POPIA"
retention_days = 30
stream_shards = 1
history_buckets = 1
"""
"""Not the region of the lake's tests: Java keeps one client a bucket, and this process may have run them."""


@pytest.fixture(scope="session")
def own_state() -> Iterator[Path]:
    """A stack with one small region; one that runs already may be named, which saves its start."""
    if named := os.environ.get("FLEETLAKE_TEST_PRIVACY_STATE"):
        yield Path(named)
        return
    with stack_folder() as (state, regions):
        regions.write_text(ONE_REGION, encoding="utf-8")
        embedded.up(state, regions)
        yield state


@pytest.fixture(scope="session")
def region(own_state: Path) -> Region:
    """The region of that stack."""
    from lake.spark.session import spark_session

    settings = RegionSettings.load(embedded.region_environment(own_state, "af", {}))
    return Region(settings, for_few_rows(spark_session(settings)))
