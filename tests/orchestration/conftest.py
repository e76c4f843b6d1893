from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance

from tests.builders.orchestration import MemorySpark, MemoryWork, hours, small_definitions


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    """A real Dagster instance of its own, on SQLite."""
    with DagsterInstance.local_temp(str(tmp_path), overrides={"telemetry": {"enabled": False}}) as made:
        yield made


@pytest.fixture
def work() -> MemoryWork:
    """Three hours that have landed."""
    return MemoryWork(landing=dict.fromkeys(hours(3), 10))


@pytest.fixture
def spark(work: MemoryWork) -> MemorySpark:
    return MemorySpark(work)


@pytest.fixture
def repository(work, spark):
    return small_definitions(work, spark).get_repository_def()
