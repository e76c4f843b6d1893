"""The whole load and the disaster drill, small: nothing is missing, nothing there twice."""

import pytest

import bench.drill
from bench.drill import drill
from bench.one_region import stack_of_one_region
from bench.whole import rows, whole
from bench.whole_load import Load

pytestmark = pytest.mark.long


def test_everything_at_once_loses_and_doubles_nothing() -> None:
    found = whole(Load(devices=100, records_s=200, seconds=20))
    figures = {row.id: row.value for row in rows(found)}
    assert found.differences == []
    assert (figures["missing"], figures["doubled"]) == (0, 0)
    assert figures["merged_rows"] == figures["put"] > 4_000
    assert figures["rounds"] >= 1


def test_a_restore_has_each_record_once_and_lets_nobody_back_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.drill, "RECORDS", 1_000)
    with stack_of_one_region(shards=2) as state:
        figures = {row.id: row.value for row in drill(state)}
    assert figures["sent"] == figures["history"] == 2_000
    assert (figures["missing"], figures["doubled"], figures["entered"]) == (0, 0, 1)
    assert figures["live"] == 50
