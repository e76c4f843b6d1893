"""Days that fill up, derived from packed hours: the same rows as from history itself, whatever came when."""

import random

import pytest

from lake.derive.changed_days import harvest
from lake.derive.hours import days_that_fill_up
from lake.derive.job import derive_days
from lake.derive.progress import due_days
from lake.merge.intake import due_merges, intake
from lake.merge.job import merge_landing
from tests.builders.journeys import DAY, ONE_DAY, at, track
from tests.builders.lake import fetch

TABLES = ("trip", "episode", "device_day", "fault_day")
PACKED = "select hour, sequence from ops.packed_hour order by hour"


@pytest.fixture
def packing(landing):
    """The region, with every day that fills up derived from packed hours."""
    landing.settings = landing.settings.model_copy(update={"pack_from_rows": 0})
    return landing


def take_in(spark, landing, rows) -> None:
    landing.land(rows, hour=at(10))
    intake(landing.settings)
    merge_landing(spark, landing.settings, due_merges(landing.settings, open_hours=True).hours, stragglers=True)


def derive_due(spark, landing) -> dict:
    harvest(landing.settings)
    return derive_days(spark, landing.settings, due_days(landing.settings))


def stored(spark, landing) -> list[list[tuple]]:
    region = landing.settings.region
    return [sorted(map(tuple, spark.table(f"{region}.history.{name}").collect()), key=str) for name in TABLES]


def rebuilt(spark, landing) -> list[list[tuple]]:
    """The derived tables after all days were derived from history's rows."""
    derive_days(spark, landing.settings, [DAY + n * ONE_DAY for n in range(-2, 4)], again=True)
    return stored(spark, landing)


def drives(device: str, hours: range, step_s: int = 150) -> list[dict]:
    """Drives and stops without end, from hour to hour."""
    speeds = [50.0] * 9 + [0.0] * 5
    steps = len(hours) * 3600 // step_s
    rows = track(
        device, at(hours.start), [speeds[n % 14] for n in range(steps)], step_s=step_s, engine_on=True, fuel_pct=50.0
    )
    for place, row in enumerate(rows):
        row["fault_codes"] = ["P0217"] if place % 40 < 15 else ["P0217", "SPN 110/FMI 0"] if place % 40 < 20 else None
    return rows


def test_a_day_that_fills_up_hour_by_hour_equals_its_rebuild(spark, packing):
    rows = [row for name in "ab" for row in drives(name, range(-2, 8))]
    for hour in range(-2, 8, 2):
        take_in(spark, packing, [row for row in rows if at(hour) <= row["ts"] < at(hour + 2)])
        derive_due(spark, packing)
        assert due_days(packing.settings) == []
    packed = fetch(packing.settings, PACKED)
    assert len({sequence for _, sequence in packed}) == 5  # each hour was packed when it came, and not again
    incremental = stored(spark, packing)
    assert all(incremental[table] for table in range(4))
    assert rebuilt(spark, packing) == incremental


def test_records_in_any_order_give_the_rebuild(spark, packing):
    rows = [row for name in "ab" for row in drives(name, range(18, 30), step_s=300)]
    random.Random(5).shuffle(rows)
    for part in (rows[::3], rows[1::3], rows[::4], rows[2::3]):
        take_in(spark, packing, part)
        derive_due(spark, packing)
    incremental = stored(spark, packing)
    assert rebuilt(spark, packing) == incremental


def test_a_late_record_packs_its_hour_alone_again(spark, packing):
    take_in(spark, packing, drives("a", range(2, 8)))
    derive_due(spark, packing)
    before = dict(fetch(packing.settings, PACKED))
    take_in(spark, packing, track("b", at(3), [36, 36, 0]))
    derive_due(spark, packing)
    after = dict(fetch(packing.settings, PACKED))
    assert [hour for hour in after if after[hour] != before[hour]] == [at(3)]
    assert rebuilt(spark, packing) == stored(spark, packing)


def test_a_device_that_was_deleted_leaves_the_packed_hours(spark, packing):
    take_in(spark, packing, drives("a", range(2, 4)) + drives("b", range(2, 4)))
    derive_due(spark, packing)
    spark.sql(f"delete from {packing.settings.region}.history.telemetry where device_id = 'a'")
    assert derive_due(spark, packing)["changed"] == 1
    left = spark.table(f"{packing.settings.region}.history.motion_hour").select("device_id").distinct().collect()
    assert [row.device_id for row in left] == ["b"]


def test_a_rollback_packs_the_lost_hours_anew(spark, packing):
    take_in(spark, packing, drives("a", range(2, 4)))
    derive_due(spark, packing)
    before = stored(spark, packing)
    region = packing.settings.region
    snapshot = spark.sql(f"select snapshot_id from {region}.history.telemetry.snapshots").collect()[0].snapshot_id
    take_in(spark, packing, drives("b", range(2, 4)))
    derive_due(spark, packing)
    assert stored(spark, packing) != before
    spark.sql(f"call {region}.system.rollback_to_snapshot('history.telemetry', {snapshot})")
    derive_due(spark, packing)
    assert stored(spark, packing) == before


def test_a_run_killed_once_it_has_packed_is_done_again(spark, packing, monkeypatch):
    from lake.derive import packed

    take_in(spark, packing, drives("a", range(2, 4)))
    with monkeypatch.context() as killed:
        killed.setattr(packed, "mark_packed", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            derive_due(spark, packing)
    assert fetch(packing.settings, PACKED) == []
    derive_due(spark, packing)
    assert rebuilt(spark, packing) == stored(spark, packing)
    rows = spark.table(f"{packing.settings.region}.history.motion_hour").count()
    assert rows == len(fetch(packing.settings, PACKED))


def test_hours_of_an_older_form_are_packed_anew(spark, packing):
    take_in(spark, packing, drives("a", range(2, 4)))
    derive_due(spark, packing)
    fetch(packing.settings, "update ops.packed_hour set form = 0 returning hour")
    take_in(spark, packing, drives("b", range(6, 7)))
    derive_due(spark, packing)
    assert fetch(packing.settings, "select count(*) from ops.packed_hour where form = 0") == [(0,)]
    assert rebuilt(spark, packing) == stored(spark, packing)


def test_a_day_is_read_from_history_itself_while_it_is_small(spark, landing):
    take_in(spark, landing, drives("a", range(2, 4)))
    derive_due(spark, landing)
    assert fetch(landing.settings, PACKED) == []
    assert stored(spark, landing)[2]


def test_a_day_fills_up_until_history_is_past_the_next_noon(spark, packing):
    take_in(spark, packing, track("a", at(30), [36, 0]))
    harvest(packing.settings)
    days = [DAY + n * ONE_DAY for n in range(-1, 3)]
    assert days_that_fill_up(packing.settings, days) == days[1:]
    take_in(spark, packing, track("a", at(37), [36, 0]))
    harvest(packing.settings)
    assert days_that_fill_up(packing.settings, days) == days[2:]
