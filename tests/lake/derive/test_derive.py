"""The job: exactly the days that changed, once, whatever is killed or runs beside it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from lake.derive import job
from lake.derive.business_days import ONE_DAY
from lake.derive.changed_days import harvest
from lake.derive.job import derive_days
from lake.derive.progress import due_days
from lake.jobs import DeriveDays
from lake.merge.intake import due_merges, intake
from lake.merge.job import merge_landing
from lake.run import run
from lake.spark.session import connect
from marts.applied import due_loads
from marts.load import load_days
from tests.builders.journeys import DAY, at, track
from tests.builders.lake import fetch, for_few_rows

DERIVED = "select day, sequence, rows_sequence from ops.derived order by day"


def take_in(spark, landing, rows) -> None:
    landing.land(rows, hour=at(10))
    intake(landing.settings)
    merge_landing(spark, landing.settings, due_merges(landing.settings, open_hours=True).hours, stragglers=True)


def derive_due(spark, landing):
    harvest(landing.settings)
    return derive_days(spark, landing.settings, due_days(landing.settings))


def stored(spark, landing, table: str) -> list[tuple]:
    return sorted(map(tuple, spark.table(f"{landing.settings.region}.history.{table}").collect()), key=str)


def test_a_late_point_rebuilds_the_days_that_depend_on_it_and_nothing_else(spark, landing):
    week = [row for n in range(5) for row in track("a", at(8 + 24 * n), [36, 36, 0])]
    take_in(spark, landing, week)
    assert derive_due(spark, landing)["device_day_rows"] == 5
    assert due_days(landing.settings) == []
    before = {day: rows for day, _, rows in fetch(landing.settings, DERIVED)}
    take_in(spark, landing, track("b", at(8 + 48, seconds=5), [36, 0]))
    harvest(landing.settings)
    due = due_days(landing.settings)
    assert due == [DAY + ONE_DAY, DAY + 2 * ONE_DAY]  # it is morning: a trip of the day before may last until then
    counts = derive_days(spark, landing.settings, due)
    assert (counts["derived"], counts["changed"], counts["device_day_rows"]) == (2, 1, 2)
    after = {day: rows for day, _, rows in fetch(landing.settings, DERIVED)}
    assert [day for day in after if after[day] != before[day]] == [DAY + 2 * ONE_DAY]
    assert len(stored(spark, landing, "device_day")) == 6
    assert due_days(landing.settings) == []


def test_incremental_equals_a_full_rebuild(spark, landing):
    rows = [row for n in range(3) for row in track("a", at(20 + 24 * n), [36] * 20, step_s=1500)]
    for part in (rows[::3], rows[1::3], rows[2::3]):
        take_in(spark, landing, part)
        derive_due(spark, landing)
    incremental = stored(spark, landing, "trip"), stored(spark, landing, "device_day")
    days = [DAY + n * ONE_DAY for n in range(-2, 7)]
    counts = derive_days(spark, landing.settings, days, again=True)
    assert counts["changed"] == 0
    assert (stored(spark, landing, "trip"), stored(spark, landing, "device_day")) == incremental


def test_a_day_that_became_empty_is_emptied(spark, landing):
    take_in(spark, landing, track("a", at(8), [36, 36, 0]))
    derive_due(spark, landing)
    spark.sql(f"delete from {landing.settings.region}.history.telemetry where device_id = 'a'")
    assert derive_due(spark, landing)["changed"] == 1
    assert stored(spark, landing, "trip") == stored(spark, landing, "device_day") == []


def test_days_already_derived_are_skipped_and_commits_name_their_source(spark, landing):
    take_in(spark, landing, track("a", at(8), [36, 36, 0]))
    derive_due(spark, landing)
    shown = spark.sql(f"select summary from {landing.settings.region}.history.trip.snapshots").collect()
    assert [row["summary"]["fleetlake.source-sequence"] for row in shown] == ["1"]
    report = run(spark, landing.settings, DeriveDays(landing.settings.region, [DAY, DAY + ONE_DAY]))
    assert (report.counts["days"], report.counts["derived"]) == (2, 0)
    assert report.tables["history.device_day"].rows == 1


def test_a_run_killed_after_its_commits_still_passes_its_rows_on(spark, landing, monkeypatch):
    take_in(spark, landing, track("a", at(8), [36, 36, 0]))
    derive_due(spark, landing)
    ((_, _, passed_on),) = [row for row in fetch(landing.settings, DERIVED) if row[0] == DAY]
    take_in(spark, landing, track("b", at(8), [36, 36, 0]))
    with monkeypatch.context() as killed:
        killed.setattr(job, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            derive_due(spark, landing)
    assert DAY in due_days(landing.settings)
    counts = derive_due(spark, landing)
    assert counts["changed"] == 0  # the rows are there already
    ((_, sequence, rows_sequence),) = [row for row in fetch(landing.settings, DERIVED) if row[0] == DAY]
    assert rows_sequence == sequence > passed_on


def test_a_rebuild_killed_after_its_commits_is_due_and_passes_its_rows_on(spark, landing, monkeypatch):
    """Nothing changed in history: only the run's own note says that the day's rows may be new."""
    take_in(spark, landing, track("a", at(8), [36, 36, 0, 0, 0, 36, 0]))
    derive_due(spark, landing)
    ((_, _, passed_on),) = [row for row in fetch(landing.settings, DERIVED) if row[0] == DAY]
    shorter = landing.settings.model_copy(update={"trip_stop_s": 60})
    with monkeypatch.context() as killed:
        killed.setattr(job, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            derive_days(spark, shorter, [DAY], again=True)
    assert due_days(landing.settings) == [DAY]
    assert derive_days(spark, shorter, [DAY])["changed"] == 0
    ((_, _, rows_sequence),) = [row for row in fetch(landing.settings, DERIVED) if row[0] == DAY]
    assert rows_sequence > passed_on
    assert due_days(landing.settings) == []


def test_rows_that_differ_by_other_rules_are_loaded_though_history_is_the_same(spark, landing):
    take_in(spark, landing, track("a", at(8), [36, 36, 0, 0, 0, 36, 0]))
    derive_due(spark, landing)
    load_days(landing.settings, due_loads(landing.settings))
    for n, stop_s in enumerate((60, 300), start=1):
        other = landing.settings.model_copy(update={"trip_stop_s": stop_s})
        assert derive_days(spark, other, [DAY - ONE_DAY, DAY], again=True)["changed"] == 1
        assert due_loads(landing.settings) == [DAY]
        load_days(landing.settings, [DAY])
        staged = fetch(landing.settings, "select count(*) from staging.trip where day = %s", DAY)
        assert staged == [(3 - n,)]


def test_an_older_derivation_does_not_overwrite_a_newer_one(spark, landing, monkeypatch):
    take_in(spark, landing, track("a", at(8), [36, 36, 0]))
    harvest(landing.settings)
    asked = due_days(landing.settings)

    def overtaken(settings):
        """History as it was before another run merged and derived more."""
        monkeypatch.undo()
        old = job.pin(settings)
        take_in(spark, landing, track("b", at(9), [36, 36, 0]))
        derive_due(spark, landing)
        return old

    monkeypatch.setattr(job, "pin", overtaken)
    derive_days(spark, landing.settings, asked)
    assert [row[0] for row in stored(spark, landing, "device_day")] == ["a", "b"]
    assert due_days(landing.settings) == []


def test_two_derivations_at_once_end_with_one_row_a_device_day(spark, landing):
    take_in(spark, landing, [row for n in range(3) for row in track(f"d{n}", at(8), [36, 36, 0])])
    harvest(landing.settings)
    due = due_days(landing.settings)
    sessions = [connect(for_few_rows(spark.newSession()), landing.settings) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda session: derive_days(session, landing.settings, due), sessions))
    assert len(stored(spark, landing, "device_day")) == len(stored(spark, landing, "trip")) == 3
    assert due_days(landing.settings) == []


def test_a_rewrite_of_files_dirties_no_day(spark, landing):
    for n in range(2):
        take_in(spark, landing, track("a", at(8 + n), [36, 36, 0]))
    harvest(landing.settings)
    region = landing.settings.region
    spark.sql(
        f"call {region}.system.rewrite_data_files(table => 'history.telemetry', options => map('min-input-files', '2'))"
    )
    found = harvest(landing.settings)
    assert (found.snapshots, found.days) == (1, 0)


def test_an_expired_cursor_makes_every_day_stale(spark, landing):
    take_in(spark, landing, track("a", at(8), [36, 36, 0]))
    derive_due(spark, landing)
    for n in range(2):
        take_in(spark, landing, track("b", at(8 + 72 + n), [36, 0]))
    region = landing.settings.region
    later = (at(8) + timedelta(days=3650)).strftime("%Y-%m-%d %H:%M:%S")
    spark.sql(f"call {region}.system.expire_snapshots('history.telemetry', TIMESTAMP '{later}', 1)")
    harvest(landing.settings)
    assert DAY in due_days(landing.settings)
    assert DAY + 3 * ONE_DAY in due_days(landing.settings)
