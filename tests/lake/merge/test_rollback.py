"""History rolled back, and snapshots expired before they were accounted for: what was lost is due again."""

from datetime import UTC, datetime, timedelta

from lake.derive.changed_days import harvest
from lake.derive.job import derive_days
from lake.derive.progress import due_days
from lake.iceberg.tables import history
from lake.merge.commit import commit_merge
from lake.merge.intake import due_merges, intake
from lake.merge.job import merge_landing
from lake.merge.plan import Kind, OpenObject, plan
from tests.builders.lake import NOON, drive, fetch, merged

HOUR = timedelta(hours=1)


def merge_all(spark, landing) -> dict[str, int | float]:
    intake(landing.settings)
    due = due_merges(landing.settings, open_hours=True)
    return merge_landing(spark, landing.settings, due.hours, stragglers=due.stragglers)


def device_day_records(spark, settings) -> int:
    days = spark.table(f"{settings.region}.history.device_day")
    return days.selectExpr("coalesce(sum(records), 0)").first()[0]


def rolled_back(spark, landing) -> int:
    """Two hours merged and derived, then the second merge rolled back. Returns the snapshot of the first."""
    settings = landing.settings
    landing.land(drive("a", NOON, 20))
    merge_all(spark, landing)
    first = history(settings).current_snapshot().snapshot_id
    landing.land(drive("b", NOON + HOUR, 20))
    merge_all(spark, landing)
    harvest(settings)
    derive_days(spark, settings, due_days(settings))
    assert device_day_records(spark, settings) == 40
    spark.sql(f"call {settings.region}.system.rollback_to_snapshot('history.telemetry', {first})").collect()
    return first


def test_the_days_that_a_rollback_changed_are_derived_again(spark, landing):
    rolled_back(spark, landing)
    harvest(landing.settings)
    assert NOON.date() in due_days(landing.settings)
    derive_days(spark, landing.settings, due_days(landing.settings))
    assert device_day_records(spark, landing.settings) == 20
    assert due_days(landing.settings) == []


def test_what_a_rolled_back_commit_had_merged_is_merged_again(spark, landing):
    rolled_back(spark, landing)
    merge_landing(spark, landing.settings, [], stragglers=False)
    assert due_merges(landing.settings, open_hours=True).hours == [NOON + HOUR]
    assert merge_all(spark, landing)["inserted"] == 20
    assert len(merged(spark, landing.settings)) == 40
    assert fetch(landing.settings, "select sum(inserted)::int, count(*) from ops.merge") == [(40, 2)]
    derive_days(spark, landing.settings, due_days(landing.settings))
    assert device_day_records(spark, landing.settings) == 40


def test_a_rollback_of_which_the_lost_snapshots_expired_makes_every_day_due(spark, landing):
    settings = landing.settings
    rolled_back(spark, landing)
    expire(spark, settings)
    harvest(settings)
    assert NOON.date() in due_days(settings)
    assert due_merges(settings, open_hours=True).hours == [NOON + HOUR]
    assert merge_all(spark, landing)["inserted"] == 20


def test_a_merge_that_was_killed_before_its_account_and_then_expired_stops_no_later_one(spark, landing):
    settings = landing.settings
    landing.land(drive("a", NOON, 20))
    merge_all(spark, landing)
    key = landing.land(drive("a", NOON + HOUR, 20))
    intake(settings)
    commit_merge(spark, settings, plan(Kind.ON_TIME, [OpenObject(key, NOON + HOUR, 20)], most_rows=1000)[0])
    expire(spark, settings)
    landing.land(drive("a", NOON + 2 * HOUR, 20))
    merge_all(spark, landing)
    assert len(merged(spark, settings)) == 60
    assert fetch(settings, "select sum(inserted)::int, sum(duplicates)::int from ops.merge") == [(60, 0)]


def test_an_ancestor_that_expired_is_still_part_of_history(spark, landing):
    settings = landing.settings
    for n in range(3):
        landing.land(drive("a", NOON + n * HOUR, 5))
        merge_all(spark, landing)
    expire(spark, settings)
    assert len(history(settings).metadata.snapshots) == 1
    assert merge_landing(spark, settings, [], stragglers=False)["commits"] == 0
    assert not due_merges(settings, open_hours=True)
    assert fetch(settings, "select count(*) from ops.merge") == [(3,)]


def expire(spark, settings) -> None:
    later = (datetime.now(UTC) + timedelta(minutes=1)).strftime("%Y-%m-%d %H:%M:%S")
    spark.sql(f"call {settings.region}.system.expire_snapshots('history.telemetry', TIMESTAMP '{later}', 1)").collect()
