"""Merges, a rewrite, an expiry and a derivation at the same time: the tables are those of one after the other."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from contracts.errors import CommitConflict
from lake.derive.changed_days import harvest
from lake.derive.job import derive_days
from lake.derive.progress import due_days
from lake.iceberg.tables import history
from lake.maintain.job import expire_snapshots, rewrite_closed_days
from lake.merge.intake import due_merges, intake
from lake.merge.job import merge_landing
from lake.spark.session import connect
from tests.builders.lake import NOON, drive, for_few_rows, merged

HOUR = timedelta(hours=1)
LATER = NOON + timedelta(days=2)


def test_two_merges_a_rewrite_an_expiry_and_a_derivation_at_once(spark, landing):
    settings = landing.settings
    for n in range(2):
        landing.land([row for name in "abc" for row in drive(name, NOON + n * HOUR, 30)])
        intake(settings)
        merge_landing(spark, settings, due_merges(settings, open_hours=True).hours, stragglers=True)
    for n in range(2, 6):
        landing.land([row for name in "abcd" for row in drive(name, NOON + n * HOUR, 30)], shard_id=f"shardId-{n}")
    intake(settings)
    hours = due_merges(settings, open_hours=True).hours
    assert len(hours) == 4

    def session():
        return connect(for_few_rows(spark.newSession()), settings)

    def rewrite():
        return rewrite_closed_days(session(), settings, LATER, 5)

    def expire():
        return expire_snapshots(session(), settings, "history.telemetry", now=datetime.now(UTC) - timedelta(minutes=1))

    def derive():
        harvest(settings)
        return derive_days(session(), settings, due_days(settings))

    def merge(some):
        return merge_landing(session(), settings, some, stragglers=False)

    with ThreadPoolExecutor(5) as pool:
        running = [pool.submit(merge, hours[:2]), pool.submit(merge, hours[2:])]
        running += [pool.submit(work) for work in (rewrite, expire, derive)]
        errors = [one.exception() for one in running]
    assert all(error is None or isinstance(error, CommitConflict) for error in errors), errors
    merge_landing(spark, settings, due_merges(settings, open_hours=True).hours, stragglers=True)
    harvest(settings)
    derive_days(spark, settings, due_days(settings))

    assert len(merged(spark, settings)) == 2 * 3 * 30 + 4 * 4 * 30
    assert {row[0] for row in merged(spark, settings)} == set("abcd")
    before = rows(spark, settings)
    days = [NOON.date() + timedelta(days=n) for n in (-1, 0, 1)]
    derive_days(spark, settings, days, again=True)
    assert rows(spark, settings) == before
    assert history(settings).current_snapshot() is not None


def rows(spark, settings) -> list[list[tuple]]:
    names = ("trip", "episode", "device_day")
    return [sorted(map(tuple, spark.table(f"{settings.region}.history.{name}").collect()), key=str) for name in names]
