"""Killed at each step of merging and deriving, twice, and then run: the tables are those of an undisturbed run."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from types import ModuleType

import boto3
import pytest

from lake.derive import changed_days, packed
from lake.derive import job as deriving
from lake.derive.changed_days import harvest
from lake.derive.job import derive_days
from lake.derive.progress import due_days
from lake.iceberg.tables import table
from lake.maintain import job as maintaining
from lake.merge import account, commit, intake
from lake.merge import job as merging
from lake.merge.intake import due_merges
from lake.merge.job import merge_landing
from tests.builders.journeys import at, track
from tests.builders.lake import Landing, fetch, merged

TABLES = ("history.trip", "history.episode", "history.device_day")
STEPS: list[tuple[ModuleType, str, bool]] = [
    (intake, "mark_complete", False),
    (merging, "commit_merge", False),
    (commit, "merge_properties", False),
    (merging, "commit_merge", True),
    (account, "add_merge", False),
    (account, "add_merge", True),
    (changed_days, "mark_changed", False),
    (changed_days, "move_harvest", True),
    (packed, "mark_packed", False),
    (packed, "mark_packed", True),
    (deriving, "begin", True),
    (deriving, "replace_days", True),
    (deriving, "finish", False),
    (deriving, "finish", True),
]
"""Where a run is killed: in which module, before (False) or after (True) it calls which function."""


class Killed(BaseException):
    """What ends a run here; nothing catches it."""


def killed_at(
    monkeypatch: pytest.MonkeyPatch, where: ModuleType, name: str, work: Callable[[], None], *, after: bool
) -> bool:
    """Do the work, and be killed where it calls the function; whether it did."""
    done = getattr(where, name)

    def kill(*arguments: object, **named: object) -> None:
        if after:
            done(*arguments, **named)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(where, name, kill)
        try:
            work()
        except Killed:
            return True
    return False


def run_all(spark, landing: Landing) -> None:
    intake.intake(landing.settings)
    due = due_merges(landing.settings, open_hours=True)
    merge_landing(spark, landing.settings, due.hours, stragglers=True)
    harvest(landing.settings)
    derive_days(spark, landing.settings, due_days(landing.settings))


def state(spark, landing: Landing) -> list[list[tuple]]:
    region = landing.settings.region
    derived = [sorted(map(tuple, spark.table(f"{region}.{name}").collect()), key=str) for name in TABLES]
    return [merged(spark, landing.settings), *derived]


def test_a_run_that_is_killed_anywhere_twice_leaves_nothing_wrong_behind(spark, landing, monkeypatch):
    """One region for all steps, so that each begins from what the kills before it left."""
    landing.settings = landing.settings.model_copy(update={"pack_from_rows": 0})
    for number, (where, name, after) in enumerate(STEPS):
        landing.land(track(f"d{number % 3}", at(2 + number), [50, 50, 0, 50, 0], engine_on=True), hour=at(20))
        work = partial(run_all, spark, landing)
        assert killed_at(monkeypatch, where, name, work, after=after), f"nothing called {name}"
        killed_at(monkeypatch, where, name, work, after=after)  # what was done before the kill is not done again
    run_all(spark, landing)
    found = state(spark, landing)
    assert len(found[0]) == 5 * len(STEPS)
    assert fetch(landing.settings, "select sum(inserted), sum(duplicates) from ops.merge") == [(5 * len(STEPS), 0)]
    days = sorted(day for (day,) in fetch(landing.settings, "select day from ops.derived"))
    derive_days(spark, landing.settings, days, again=True)
    assert state(spark, landing) == found

    settings = landing.settings
    maintaining.maintain(spark, settings)
    for name in maintaining.TABLES:
        maintaining.expire_snapshots(spark, settings, name, now=datetime.now(UTC) + timedelta(days=30))
        delete_orphans_now(spark, f"{settings.region}.{name}")
        assert data_files(landing, name) == named_files(landing, name), name
    assert state(spark, landing) == found


def delete_orphans_now(spark, name: str) -> None:
    """What maintenance does with files older than three days; its procedure refuses to take younger ones."""
    java = spark._jvm.org.apache.iceberg.spark
    found = java.Spark3Util.loadIcebergTable(spark._jsparkSession, name)
    action = java.actions.SparkActions.get().deleteOrphanFiles(found).usePrefixListing(True)
    action.olderThan(round(datetime.now(UTC).timestamp() * 1000) + 60_000).execute()


def named_files(landing: Landing, name: str) -> set[str]:
    """The keys of the data and delete files of a table's present snapshot."""
    files = table(landing.settings, name).inspect.files().column("file_path").to_pylist()
    return {path.split(f"{landing.settings.bucket}/", 1)[1] for path in files}


def data_files(landing: Landing, name: str) -> set[str]:
    """The keys in a table's data folder."""
    prefix = table(landing.settings, name).location().split(f"{landing.settings.bucket}/", 1)[1] + "/data/"
    client = boto3.client("s3", **landing.settings.s3.client_kwargs(landing.settings.row.aws_region))
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=landing.settings.bucket, Prefix=prefix)
    return {item["Key"] for page in pages for item in page.get("Contents", [])}
