"""Retention and the desk in Dagster: numbers alone, red where something is past its time or nothing was read."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from dagster import AssetCheckEvaluation, DagsterInstance, Definitions, materialize

from assets.rights import WHO, requests_asset, requests_in_time, retention_asset, within_retention
from contracts.regions import find_region
from contracts.retention import Expiry, Standing
from lake.jobs import Expire, Report
from privacy.desk import DeskReport, Requests
from privacy.retention import Retention

EU = find_region("eu")
TODAY = date(2026, 11, 30)


def found(stores: Mapping[str, Standing], removed: Mapping[str, int] | None = None) -> Retention:
    return Retention(
        region="eu",
        today=TODAY,
        before=date(2026, 11, 1),
        dry_run=removed is None,
        stores=stores,
        removed=removed or {},
    )


class Retaining:
    """In memory: what a look finds; a run asks for the lake's part."""

    def __init__(self, stores: Mapping[str, Standing]) -> None:
        self.stores, self.who = stores, ""

    def check(self) -> Retention:
        return found(self.stores)

    def run(self, expire: Any, who: str) -> Retention:
        self.who = who
        due = Expiry(TODAY, date(2026, 11, 1), frozenset(), frozenset(), ())
        return found(self.stores, dict(expire(due)) | {"staging.trip": 3, "exports": 0})


class Spark:
    def __init__(self) -> None:
        self.jobs: list[Any] = []

    def run(self, job: Any, context: Any) -> Report:
        self.jobs.append(job)
        return Report(job=job, region="eu", seconds=1.0, counts={"history.telemetry": 40}, tables={})


class Desk:
    def __init__(self, **counts: Any) -> None:
        self.counts = counts

    def count(self) -> DeskReport:
        return DeskReport(region="eu", by_kind={"export": Requests(**self.counts)})


def verdict(check: Any, **resources: Any) -> AssetCheckEvaluation:
    made = Definitions(asset_checks=[check], resources=resources)
    with DagsterInstance.ephemeral() as instance:
        job = made.get_repository_def().get_job("__ASSET_JOB")
        chosen = job.get_subset(asset_check_selection=set(check.check_keys))
        (evaluation,) = chosen.execute_in_process(instance=instance).get_asset_check_evaluations()
    return evaluation


@pytest.mark.parametrize(
    ("stores", "passed"),
    [
        ({"a": Standing(rows=5, overdue=0), "b": Standing(rows=0, overdue=0)}, True),
        ({"a": Standing(rows=5, overdue=1)}, False),
        ({"a": Standing(rows=5, overdue=1, waiting=1)}, False),
        ({"a": Standing(rows=0, overdue=0)}, False),
        ({}, False),
    ],
)
def test_the_check_is_red_where_something_is_past_its_time_or_nothing_was_read(stores, passed):
    told = verdict(within_retention(EU), retaining=Retaining(stores))
    assert told.passed is passed
    assert told.metadata["rows_read"].value == sum(one.rows for one in stores.values())


def test_a_run_has_spark_remove_the_lakes_part_and_tells_numbers():
    retaining, spark = Retaining({"a": Standing(rows=5, overdue=0)}), Spark()
    with DagsterInstance.ephemeral() as instance:
        done = materialize([retention_asset(EU)], instance=instance, resources={"retaining": retaining, "spark": spark})
        (event,) = done.get_asset_materialization_events()
    said = {name: str(value.value) for name, value in event.materialization.metadata.items()}
    assert spark.jobs == [Expire(region="eu", today=TODAY)]
    assert retaining.who == WHO
    assert said["left_past_its_time"] == "0"
    assert "| history.telemetry | 40 |" in said["removed"] and "exports" not in said["removed"]


def test_the_desk_is_red_while_a_request_is_overdue():
    soon = datetime.now(UTC) + timedelta(days=3)
    late = verdict(requests_in_time(EU), desk=Desk(open=2, due_soon=2, overdue=1, next_due=soon))
    assert not late.passed
    assert late.metadata["overdue"].value == 1
    assert verdict(requests_in_time(EU), desk=Desk(open=2, due_soon=1, done=9, next_due=soon)).passed
    with DagsterInstance.ephemeral() as instance:
        done = materialize([requests_asset(EU)], instance=instance, resources={"desk": Desk(open=2, next_due=soon)})
        (event,) = done.get_asset_materialization_events()
    assert event.materialization.metadata["next_due"].value == f"{soon:%Y-%m-%d}"
