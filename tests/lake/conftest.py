"""One Spark session for all tests of the lake, and region `us` emptied before each test that asks for it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from contracts.settings import RegionSettings
from tests.builders.lake import Landing, empty_lake, for_few_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def lake_region(stack) -> RegionSettings:
    """Settings of the region that these tests have to themselves."""
    return stack.settings("us")


@pytest.fixture(scope="session")
def spark(lake_region: RegionSettings) -> "SparkSession":
    """The process's session: it starts once, and ends with the process."""
    from lake.spark.session import spark_session

    return for_few_rows(spark_session(lake_region))


@pytest.fixture
def landing(lake_region: RegionSettings) -> Iterator[Landing]:
    """An empty region, with a hand to land objects in it."""
    empty_lake(lake_region)
    yield Landing(lake_region)
    empty_lake(lake_region)
