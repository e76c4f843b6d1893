"""Landing into history: exactly once in any order, twice at once, and through a crash."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.types import StringType

import lake
from lake.derive.changed_days import harvest
from lake.iceberg.tables import history
from lake.jobs import MergeLanding
from lake.merge.commit import commit_merge
from lake.merge.intake import due_merges, intake
from lake.merge.job import merge_landing
from lake.merge.plan import Kind, OpenObject, plan
from lake.merge.spans import day_span
from lake.merge.statement import merge_statement
from lake.run import run
from lake.spark.session import connect
from tests.builders.lake import NOON, fetch, for_few_rows, landing_row, landing_table, merged

HOUR = timedelta(hours=1)
MERGES = "select kind, objects, rows_read, inserted, duplicates from ops.merge order by committed_at, snapshot_id"


def merge_all(spark, landing) -> dict[str, int | float]:
    intake(landing.settings)
    due = due_merges(landing.settings, open_hours=True)
    return merge_landing(spark, landing.settings, due.hours, stragglers=due.stragglers)


def test_of_rows_with_one_identity_the_first_to_arrive_stays_in_any_order(spark, landing):
    later = landing_row("a", NOON, "1", arrival_ts=NOON + timedelta(seconds=9), lat=2.0)
    earlier = landing_row("a", NOON, "1", arrival_ts=NOON + timedelta(seconds=3), lat=1.0)
    tie = landing_row("b", NOON, "1", sequence_number="10", lat=2.0)
    first_of_tie = landing_row("b", NOON, "1", sequence_number="9", lat=1.0)
    for row in (later, tie):
        landing.land([row])
    merge_all(spark, landing)
    landing.land([earlier, first_of_tie])
    counts = merge_all(spark, landing)
    assert [(row[0], row[-1]) for row in merged(spark, landing.settings)] == [("a", 1.0), ("b", 1.0)]
    assert (counts["rows_read"], counts["inserted"], counts["duplicates"]) == (2, 0, 2)


def test_a_column_that_the_contract_has_since_is_added_and_nothing_of_it_is_lost(spark, landing):
    landing.land([landing_row("a", NOON, "before")])
    merge_all(spark, landing)
    with history(landing.settings).update_schema(allow_incompatible_changes=True) as change:
        change.delete_column("coolant_c")  # as a table that was made before the contract had it
    landing.land([landing_row("a", NOON, "since", coolant_c=90.5)])
    merge_all(spark, landing)
    rows = history(landing.settings).scan().to_arrow().select(["record_id", "coolant_c"]).to_pylist()
    assert sorted((row["record_id"], row["coolant_c"]) for row in rows) == [("e:before", None), ("e:since", 90.5)]


def test_a_version_that_lacks_a_column_of_the_table_merges_beside_one_that_has_it(spark, landing):
    """Nothing of either is lost, and what an object of an older version lacks is null."""
    names = ["driver_id", "fuel_used_l", "fault_lamps"]
    older = landing_table([landing_row("a", NOON, "one")]).drop_columns(names)
    landing.land(older)
    merge_all(spark, landing)
    with history(landing.settings).update_schema() as change:
        change.add_column("of_version_3", StringType())
    table = history(landing.settings)
    newer = landing_table(
        [landing_row("a", NOON + timedelta(minutes=1), "three", driver_id="D", arrival_ts=NOON + HOUR)]
    )
    wanted = table.schema().as_arrow()
    table.append(newer.append_column("of_version_3", pa.array(["kept"])).select(wanted.names).cast(wanted))
    again = landing_row("a", NOON + timedelta(minutes=2), "two", driver_id="E", fault_lamps=["protect"])
    replaced = landing_row(
        "a", NOON + timedelta(minutes=1), "three", driver_id="D", arrival_ts=NOON + timedelta(minutes=2)
    )
    landing.land([again, replaced])
    merge_all(spark, landing)
    rows = history(landing.settings).scan().to_arrow().sort_by("ts").to_pylist()
    assert [(row["event_id"], row["driver_id"], row["fault_lamps"]) for row in rows] == [
        ("one", None, None),
        ("three", "D", None),
        ("two", "E", ["protect"]),
    ]
    assert [row["of_version_3"] for row in rows] == [None, "kept", None]


def test_a_file_of_history_of_which_row_after_row_is_replaced_stays_accounted_for(spark, landing):
    """Iceberg rewrites the delete file of a data file: the summary then counts positions that were deleted before."""
    late = {"arrival_ts": NOON + timedelta(minutes=9)}
    rows = [landing_row("a", NOON + timedelta(seconds=n), str(n), **late) for n in range(3)]
    landing.land(rows)
    merge_all(spark, landing)
    for row in rows:
        landing.land([row | {"arrival_ts": NOON + timedelta(minutes=5)}], hour=NOON)
        counts = merge_all(spark, landing)
        assert (counts["rows_read"], counts["inserted"], counts["duplicates"]) == (1, 0, 1)
    summary = history(landing.settings).current_snapshot().summary.additional_properties
    assert (summary["added-position-deletes"], summary["removed-position-deletes"]) == ("3", "2")
    assert len(merged(spark, landing.settings)) == 3


def test_equal_rows_in_one_object_are_one_record(spark, landing):
    row = landing_row("a", NOON, "1")
    landing.land([row, row, landing_row("a", NOON, "2")])
    counts = merge_all(spark, landing)
    assert (counts["inserted"], counts["duplicates"]) == (2, 1)
    assert len(merged(spark, landing.settings)) == 2


def test_merging_again_changes_nothing_and_dirties_no_day(spark, landing):
    rows = [landing_row("a", NOON + timedelta(seconds=n), str(n)) for n in range(5)]
    landing.land(rows)
    merge_all(spark, landing)
    harvest(landing.settings)
    before = merged(spark, landing.settings)
    landing.land(rows)
    counts = merge_all(spark, landing)
    assert (counts["commits"], counts["inserted"], counts["duplicates"]) == (1, 0, 5)
    assert merged(spark, landing.settings) == before
    assert harvest(landing.settings).days == 0
    assert merge_all(spark, landing)["commits"] == 0


def test_stragglers_are_merged_in_a_commit_of_their_own(spark, landing):
    on_time = landing_row("a", NOON, "1")
    late = landing_row("a", NOON - timedelta(days=40), "2", arrival_ts=NOON)
    landing.land([on_time, late])
    report = run(spark, landing.settings, MergeLanding(landing.settings.region, [NOON], stragglers=True))
    assert fetch(landing.settings, MERGES) == [("on_time", 1, 1, 1, 0), ("stragglers", 1, 1, 1, 0)]
    assert report.counts["commits"] == 2
    assert report.tables["history.telemetry"].rows == 2
    assert not due_merges(landing.settings, open_hours=True)


def test_many_hours_go_into_one_commit(spark, landing):
    for n in range(6):
        landing.land([landing_row("a", NOON + n * HOUR, str(n))])
    counts = merge_all(spark, landing)
    assert (counts["commits"], counts["objects"], counts["inserted"]) == (1, 6, 6)


def test_an_hour_may_be_merged_while_it_is_open_and_again(spark, landing):
    for n in range(3):
        landing.land([landing_row("a", NOON + timedelta(minutes=n), str(n))])
        assert merge_all(spark, landing)["inserted"] == 1
    assert len(merged(spark, landing.settings)) == 3


def test_two_merges_of_the_same_rows_at_once_end_exact(spark, landing):
    rows = [landing_row(f"d{n % 7}", NOON + timedelta(seconds=n), str(n)) for n in range(300)]
    keys = [landing.land(rows[:200]), landing.land(rows[100:])]
    intake(landing.settings)
    history(landing.settings)
    both = plan(Kind.ON_TIME, [OpenObject(key, NOON, 200) for key in keys], most_rows=1000)[0]
    sessions = [connect(for_few_rows(spark.newSession()), landing.settings) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda session: commit_merge(session, landing.settings, both), sessions))
    assert len(history(landing.settings).metadata.snapshots) == 2
    assert len(merged(spark, landing.settings)) == 300
    merge_landing(spark, landing.settings, [], stragglers=False)
    assert fetch(landing.settings, MERGES) == [("on_time", 2, 400, 300, 100), ("on_time", 0, 0, 0, 0)]


def test_a_run_killed_between_commit_and_marking_is_accounted_for_by_the_next(spark, landing):
    rows = [landing_row("a", NOON + timedelta(seconds=n), str(n)) for n in range(4)]
    key = landing.land([*rows, rows[0]])
    intake(landing.settings)
    history(landing.settings)
    commit_merge(spark, landing.settings, plan(Kind.ON_TIME, [OpenObject(key, NOON, 5)], most_rows=1000)[0])
    assert fetch(landing.settings, MERGES) == []
    assert due_merges(landing.settings, open_hours=True).hours == [NOON]
    counts = merge_landing(spark, landing.settings, [NOON], stragglers=False)
    assert fetch(landing.settings, MERGES) == [("on_time", 1, 5, 4, 1)]
    assert counts["commits"] == 1
    assert len(history(landing.settings).metadata.snapshots) == 1
    assert not due_merges(landing.settings, open_hours=True)


@pytest.mark.parametrize("seed", [1, 2])
def test_any_order_and_batching_gives_what_merging_all_at_once_gives(spark, landing, seed):
    chance = random.Random(seed)
    rows = [
        landing_row(
            f"d{chance.randrange(3)}",
            NOON - timedelta(minutes=chance.randrange(0, 4000, 40)),
            str(chance.randrange(8)),
            arrival_ts=NOON + timedelta(seconds=n // 3),
            sequence_number=str(n),
            lat=float(n),
        )
        for n in range(150)
    ]
    expected = {}
    for row in rows:  # in order of arrival
        expected.setdefault((row["device_id"], row["ts"], row["record_id"]), row["sequence_number"])
    chance.shuffle(rows)
    while rows:
        size = chance.randrange(20, 80)
        landing.land(rows[:size] + rows[: size // 4], hour=NOON)
        rows = rows[size:]
        if chance.random() < 0.6:
            intake(landing.settings)
            due = due_merges(landing.settings, open_hours=True)
            merge_landing(spark, landing.settings, due.hours, stragglers=chance.random() < 0.5)
    merge_all(spark, landing)
    fetch(landing.settings, "update ops.landing_object set committed_at = '2026-01-01' returning 1")
    merge_landing(spark, landing.settings, [], stragglers=True)
    found = merged(spark, landing.settings)
    assert {(row[0], row[2]) for row in found} == {(device, record) for device, _, record in expected}
    assert sorted(row[3] for row in found) == sorted(expected.values())
    sums = "select sum(rows_read)::int, sum(inserted)::int, sum(duplicates)::int from ops.merge"
    landed = fetch(landing.settings, "select sum(rows)::int from ops.landing_object")[0][0]
    assert fetch(landing.settings, sums) == [(landed, len(expected), landed - len(expected))]


def test_metadata_bounds_name_no_device_and_no_place(spark, landing):
    landing.land([landing_row("secret-device", NOON, "1", lat=50.123, lon=8.1)])
    merge_all(spark, landing)
    (entry,) = history(landing.settings).inspect.files().to_pylist()
    table = history(landing.settings)
    assert set(dict(entry["lower_bounds"])) == {table.schema().find_field("ts").field_id}
    assert "secret-device" not in repr(entry["lower_bounds"])


def test_the_merge_is_planned_so_that_conflicts_are_detected(spark, landing):
    history(landing.settings)
    day = day_span(NOON.date())
    source = spark.table(f"{landing.settings.region}.history.telemetry").limit(0)
    source.createOrReplaceTempView("nothing_landed")
    statement = merge_statement(landing.settings.spark_table("history.telemetry"), "nothing_landed", [day])
    planned = spark.sql(f"EXPLAIN {statement}").first()[0]
    assert "WriteDelta" in planned
    assert "AppendData" not in planned
    assert "WHEN MATCHED" in statement


def test_there_is_one_merge_statement_in_the_lake():
    """An insert-only MERGE is planned as an append that detects no conflict: no second one may appear."""
    folder = Path(lake.__file__).parent
    holding = [file.name for file in folder.rglob("*.py") if "MERGE INTO" in file.read_text(encoding="utf-8")]
    assert holding == ["statement.py"]
