"""Maintenance changes files and no row: days are rewritten once, snapshots expire, the partition layout follows."""

from datetime import UTC, date, datetime, timedelta

import boto3
import msgspec
import pytest

from lake.derive.changed_days import harvest
from lake.derive.job import derive_days
from lake.derive.progress import due_days
from lake.iceberg.tables import history
from lake.maintain.health import DayFiles, files_by_day, table_health
from lake.maintain.job import days_to_rewrite, expire_snapshots, maintain
from lake.maintain.progress import latest_health
from lake.merge.intake import due_merges, intake
from lake.merge.job import merge_landing
from tests.builders.lake import NOON, drive, landing_row, merged

HOUR = timedelta(hours=1)
TODAY = date(2026, 3, 12)
CLOSED = datetime(2026, 3, 12, 1, tzinfo=UTC)


def merge_all(spark, landing) -> None:
    intake(landing.settings)
    due = due_merges(landing.settings, open_hours=True)
    merge_landing(spark, landing.settings, due.hours, stragglers=due.stragglers)


def a_day_of_hours(spark, landing, hours: int = 4) -> None:
    for n in range(hours):
        landing.land([row for d in "abc" for row in drive(d, NOON + n * HOUR, 30)])
        merge_all(spark, landing)


def close_the_day(landing) -> None:
    landing.land([landing_row("z", NOON + timedelta(days=1), "next")], committed=NOON + timedelta(days=1, hours=1))


def test_a_closed_day_is_rewritten_once_to_one_file_a_partition_and_keeps_its_rows(spark, landing):
    settings = landing.settings
    a_day_of_hours(spark, landing)
    before = merged(spark, settings)
    assert maintain(spark, settings)["days_rewritten"] == 0  # the day still grows
    close_the_day(landing)
    counts = maintain(spark, settings)
    assert (counts["days_rewritten"], counts["files"]) == (1, len(files_by_day(history(settings))[0].partitions))
    assert counts["files_before"] > counts["files"]
    assert merged(spark, settings) == before
    assert maintain(spark, settings)["days_rewritten"] == 0
    assert harvest(settings).days == 0  # a rewrite changes no day


def test_rows_that_were_replaced_leave_no_delete_file_behind(spark, landing):
    settings, late = landing.settings, NOON + timedelta(minutes=9)
    rows = [landing_row("a", NOON + timedelta(seconds=n), str(n), arrival_ts=late) for n in range(9)]
    landing.land(rows)
    merge_all(spark, landing)
    landing.land([row | {"arrival_ts": NOON + timedelta(minutes=5)} for row in rows[:3]], hour=NOON)
    merge_all(spark, landing)
    assert table_health(history(settings), "t").delete_files == 1
    before = merged(spark, settings)
    close_the_day(landing)
    assert maintain(spark, settings)["delete_files"] == 0
    assert merged(spark, settings) == before


def test_the_partition_layout_follows_the_region_table_and_old_days_are_rewritten_in_it(spark, landing, monkeypatch):
    settings = landing.settings
    a_day_of_hours(spark, landing, hours=2)
    before = merged(spark, settings)
    wider = msgspec.structs.replace(settings.row, history_buckets=16)
    monkeypatch.setattr(type(settings), "row", property(lambda _: wider))
    close_the_day(landing)
    counts = maintain(spark, settings)
    assert (counts["partitions_changed"], counts["days_rewritten"]) == (1, 1)
    assert {str(field.transform) for field in history(settings).spec().fields} == {"day", "bucket[16]"}
    assert not any(day.old_spec for day in files_by_day(history(settings)))
    assert merged(spark, settings) == before
    landing.land(drive("late", NOON, 5), hour=NOON + timedelta(days=1))
    merge_all(spark, landing)
    assert len(merged(spark, settings)) > len(before)
    assert maintain(spark, settings)["partitions_changed"] == 0


def test_old_snapshots_expire_with_their_files_and_the_present_one_stays(spark, landing):
    settings = landing.settings
    a_day_of_hours(spark, landing)
    close_the_day(landing)
    maintain(spark, settings)
    assert len(history(settings).metadata.snapshots) > 1  # younger than snapshot_keep_h
    before, objects = merged(spark, settings), data_objects(settings)
    tomorrow = datetime.now(UTC) + timedelta(hours=settings.snapshot_keep_h, minutes=1)
    assert expire_snapshots(spark, settings, "history.telemetry", now=tomorrow) > 0
    assert len(history(settings).metadata.snapshots) == 1
    assert len(data_objects(settings)) < len(objects)
    assert merged(spark, settings) == before


def test_maintenance_accounts_and_harvests_before_anything_expires(spark, landing):
    settings = landing.settings
    a_day_of_hours(spark, landing, hours=2)
    maintain(spark, settings)
    assert due_days(settings)
    derive_days(spark, settings, due_days(settings))
    assert due_days(settings) == []


def test_health_is_kept_for_each_table(spark, landing):
    a_day_of_hours(spark, landing, hours=2)
    maintain(spark, landing.settings)
    health = {one.table: one for one in latest_health(landing.settings)}
    assert set(health) == {
        "history.telemetry",
        "history.trip",
        "history.episode",
        "history.fault_day",
        "history.device_day",
        "history.motion_hour",
    }
    found = health["history.telemetry"]
    assert (found.rows, found.days, found.largest_day_rows, found.snapshots) == (180, 1, 180, 2)
    assert 0 < found.metadata_bytes < 100_000


def test_maintenance_of_an_empty_region_does_nothing(spark, landing):
    counts = maintain(spark, landing.settings)
    assert (counts["days_rewritten"], counts["files"], counts["snapshots"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("found", "worth"),
    [
        (DayFiles(TODAY, files=96, partitions={(0, str(n)) for n in range(4)}), False),
        (DayFiles(TODAY - timedelta(days=1), files=4, partitions={(0, str(n)) for n in range(4)}), False),
        (DayFiles(TODAY - timedelta(days=1), files=11, partitions={(0, str(n)) for n in range(4)}), False),
        (DayFiles(TODAY - timedelta(days=1), files=12, partitions={(0, str(n)) for n in range(4)}), True),
        (DayFiles(TODAY - timedelta(days=1), files=4, delete_files=1, partitions={(0, "0")}), True),
        (DayFiles(TODAY - timedelta(days=1), files=4, old_spec=True, partitions={(0, "0")}), True),
    ],
)
def test_which_days_are_worth_a_rewrite(found, worth):
    assert bool(days_to_rewrite([found], CLOSED)) is worth
    assert days_to_rewrite([found], None) == []


def data_objects(settings) -> list[str]:
    client = boto3.client("s3", **settings.s3.client_kwargs(settings.row.aws_region))
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=settings.bucket)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return [key for key in keys if "/history/telemetry/data/" in f"/{key}"]
