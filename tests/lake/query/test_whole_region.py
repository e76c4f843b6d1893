"""A whole region adds up, and each store that is broken on purpose is named."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from pathlib import Path

import pytest
from msgspec.structs import replace

import stack as embedded
from contracts.ledger import LeaseRow
from contracts.names import bucket, ledger_table, padded_sequence
from contracts.settings import RegionSettings
from lake.reconcile import Reconciliation, reconcile
from lake.reconcile.model import STAGES, WAITING
from lake.reconcile.ops import Ops, read_ops
from lake.tables import history
from tests.builders.query import DAY, Rows, as_object
from tests.builders.scene import Scene

MONDAY = date(2026, 11, 2)


def differing(result: Reconciliation, check: str) -> list[str]:
    return [sentence for sentence in result.differences if sentence.startswith(f"{check}: ")]


def test_a_region_without_records_reconciles(empty_region: RegionSettings) -> None:
    result = reconcile(empty_region)
    assert result.ok, result.differences
    assert set(result.stages) == {*STAGES, *WAITING}
    assert set(result.stages.values()) == {0}


def test_a_processed_region_adds_up(scene: Scene) -> None:
    result = reconcile(scene.settings)
    assert result.ok, result.differences
    assert result.stages == {
        "stream": 646,
        "landed": 600,
        "rejected": 41,
        "suppressed": 5,
        "history": 560,
        "duplicates": 40,
        "device_day": 560,
        "marts": 560,
        "backlog": 0,
        "unmerged": 0,
        "underived": 0,
        "unloaded": 0,
    }
    kept = scene.sql("select ok, stages from ops.reconciliation order by reconciled_at desc limit 1")
    assert kept == [(True, result.stages)]


def test_an_object_in_history_that_is_not_marked_as_merged_is_pending(scene: Scene) -> None:
    key = scene.entries[1].objects[0].key
    scene.sql("update ops.landing_object set on_time_merged = null where key = %s", [key])
    try:
        result = reconcile(scene.settings)
    finally:
        scene.sql("update ops.landing_object set on_time_merged = now() where key = %s", [key])
    assert result.ok, result.differences
    assert any("not marked as merged" in note for note in result.notes)
    assert result.stages["landed"] == sum(result.stages[name] for name in ("history", "duplicates", "unmerged"))


def test_a_day_that_changed_since_it_was_derived_is_pending(scene: Scene) -> None:
    scene.sql("update ops.changed set sequence = sequence + 100 where day = %s", [MONDAY])
    scene.sql("update staging.device_day set records = records + 1 where day = %s", [MONDAY])
    try:
        result = reconcile(scene.settings)
    finally:
        scene.sql("update ops.changed set sequence = sequence - 100 where day = %s", [MONDAY])
        scene.sql("update staging.device_day set records = records - 1 where day = %s", [MONDAY])
    assert any("R5: days that wait to be derived: 1 (2026-11-02)" in note for note in result.notes)
    assert all("staging.device_day" in sentence for sentence in result.differences)
    assert not any("history.device_day has" in sentence for sentence in result.differences)


def test_a_day_that_a_run_begins_to_replace_meanwhile_is_not_compared(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = "insert into ops.deriving (day, run) values (%s, gen_random_uuid())"

    def then_a_run_begins(settings: RegionSettings) -> Ops:
        ops = read_ops(settings)
        scene.sql(begun, [MONDAY])
        return ops

    monkeypatch.setattr(import_module("lake.reconcile.reconcile"), "read_ops", then_a_run_begins)
    scene.sql("update staging.device_day set records = records + 1 where day = %s", [MONDAY])
    try:
        result = reconcile(scene.settings)
    finally:
        scene.sql("delete from ops.deriving")
        scene.sql("update staging.device_day set records = records - 1 where day = %s", [MONDAY])
    assert not any("history.device_day has" in sentence for sentence in result.differences)
    assert not any("in history.device_day" in sentence for sentence in result.differences)


def test_objects_of_former_owners_are_left_to_the_janitor(scene: Scene) -> None:
    shard = scene.entries[0].shard_id
    key = f"landing/telemetry/dt=2026-11-02/hour=07/{shard}-1-2-0.parquet"
    scene.put_object(key, b"unfinished")
    try:
        result = reconcile(scene.settings)
    finally:
        scene.s3.delete_object(Bucket=bucket(scene.region), Key=key)
    assert result.ok, result.differences
    assert any("the janitor deletes them" in note for note in result.notes)


def test_a_shard_whose_lease_is_gone_counts_to_its_last_entry(scene: Scene) -> None:
    shard = scene.entries[1].shard_id
    scene.drop_lease(shard)
    try:
        result = reconcile(scene.settings)
    finally:
        scene.put_lease(scene.leases[shard])
    assert result.ok, result.differences
    assert (result.stages["stream"], result.stages["landed"]) == (646, 600)


def test_days_derived_from_what_was_merged_after_the_harvest_are_pending(scene: Scene) -> None:
    first = history(scene.settings).snapshots()[0]
    before = scene.sql("select snapshot_id, sequence from ops.harvest_cursor")[0]
    scene.sql("update ops.harvest_cursor set snapshot_id = %s, sequence = %s", [first.snapshot_id, 1])
    scene.sql("update ops.changed set sequence = 1")
    try:
        result = reconcile(scene.settings)
    finally:
        scene.sql("update ops.harvest_cursor set snapshot_id = %s, sequence = %s", before)
        scene.sql("update ops.changed set sequence = %s", [before[1]])
    assert result.ok, result.differences
    assert any("R5: days that wait to be derived" in note for note in result.notes)
    assert result.stages["history"] == result.stages["device_day"] + result.stages["underived"]


def test_records_of_days_that_wait_are_counted_from_those_days(scene: Scene) -> None:
    """Not as what is missing: records that a settled day lost are in no stage, and the sums say so."""
    lost = "update marts.device_day set records = records {} 7 where device_id = 'veh-0003' and day = '2026-11-02'"
    scene.sql(lost.format("-"))
    waiting = "update ops.applied set sequence = sequence {} 1 where target = 'marts' and day < '2026-11-02'"
    scene.sql(waiting.format("-"))
    scene.sql("update marts.device_day set records = records - 1 where day < '2026-11-02'")
    try:
        stages = reconcile(scene.settings).stages
    finally:
        scene.sql("update marts.device_day set records = records + 1 where day < '2026-11-02'")
        scene.sql(waiting.format("+"))
        scene.sql(lost.format("+"))
    assert stages["unloaded"] == 6  # one of each of the late devices
    assert stages["device_day"] - stages["marts"] - stages["unloaded"] == 7


def test_a_stream_that_is_read_from_a_time_on_is_counted_from_there(own_stack: Path) -> None:
    late = Scene(RegionSettings.load(embedded.region_environment(own_stack, "us", {})))
    late.put(5, 0)
    start = datetime.now(UTC) + timedelta(milliseconds=5)
    while datetime.now(UTC) < start + timedelta(milliseconds=5):
        pass
    entry = late.flush(Rows().make(devices=2, each=3))
    late.put_lease(replace(late.leases[entry.shard_id], start_ms=int(start.timestamp() * 1000)))
    result = reconcile(late.settings)
    assert result.ok, result.differences
    assert result.stages["stream"] == 6


def drop_landing_object(scene: Scene) -> Callable[[], object]:
    key = scene.entries[0].objects[0].key
    columns = "key, shard_id, last_seq, hour, rows, bytes, stragglers, committed_at, on_time_merged, stragglers_merged"
    row = scene.sql(f"delete from ops.landing_object where key = %s returning {columns}", [key])[0]
    places = ", ".join(["%s"] * len(row))
    return lambda: scene.sql(f"insert into ops.landing_object ({columns}) values ({places})", row)


def drop_ledger_entry(scene: Scene) -> Callable[[], object]:
    entry = scene.entries[0]
    key = {"shard_id": {"S": entry.shard_id}, "last_seq": {"S": padded_sequence(entry.last_seq)}}
    scene.dynamodb.delete_item(TableName=ledger_table(scene.region), Key=key)
    return lambda: scene.put_entry(entry)


def miscount_entry(scene: Scene) -> Callable[[], object]:
    entry = scene.entries[0]
    scene.put_entry(replace(entry, user_records=entry.user_records - 1))
    return lambda: scene.put_entry(entry)


def swap_landed_and_rejected(scene: Scene) -> Callable[[], object]:
    entry = scene.entries[0]
    rejected = {reason: count + 1 for reason, count in entry.rejected.items()}
    scene.put_entry(replace(entry, landed=entry.landed - 1, rejected=rejected))
    return lambda: scene.put_entry(entry)


def swap_reasons(scene: Scene) -> Callable[[], object]:
    entry = scene.entries[0]
    scene.put_entry(replace(entry, rejected={"too_large": entry.rejected_total}))
    return lambda: scene.put_entry(entry)


def forget_harvest(scene: Scene) -> Callable[[], object]:
    row = scene.sql("delete from ops.harvest_cursor returning table_name, snapshot_id, sequence")[0]
    return lambda: scene.sql("insert into ops.harvest_cursor values (%s, %s, %s)", row)


def expire_harvest(scene: Scene) -> Callable[[], object]:
    scene.sql("update ops.harvest_cursor set snapshot_id = snapshot_id - 1")
    return lambda: scene.sql("update ops.harvest_cursor set snapshot_id = snapshot_id + 1")


def move_lease_on(scene: Scene) -> Callable[[], object]:
    entry = scene.entries[1]
    good = scene.leases[entry.shard_id]
    scene.put_lease(LeaseRow(shard_id=entry.shard_id, fence=1, position=str(int(entry.last_seq) + 5)))
    return lambda: scene.put_lease(good)


def delete_object(scene: Scene) -> Callable[[], object]:
    key = scene.entries[1].objects[0].key
    body = scene.s3.get_object(Bucket=bucket(scene.region), Key=key)["Body"].read()
    scene.s3.delete_object(Bucket=bucket(scene.region), Key=key)
    return lambda: scene.put_object(key, body)


def swap_object(scene: Scene) -> Callable[[], object]:
    key = scene.entries[1].objects[0].key
    body = scene.s3.get_object(Bucket=bucket(scene.region), Key=key)["Body"].read()
    scene.put_object(key, as_object(Rows(seed=9).make(devices=1, each=3)))
    return lambda: scene.put_object(key, body)


def add_stranger(scene: Scene) -> Callable[[], object]:
    key = "landing/telemetry/dt=2026-11-02/hour=07/by-hand.parquet"
    scene.put_object(key, b"x")
    return lambda: scene.s3.delete_object(Bucket=bucket(scene.region), Key=key)


def add_history_row(scene: Scene) -> Callable[[], object]:
    row = Rows(seed=9).make(devices=1, each=1, start=DAY + timedelta(hours=9))
    return _append(scene, row)


def repeat_history_row(scene: Scene) -> Callable[[], object]:
    return _append(scene, history(scene.settings).scan(limit=1).to_arrow())


def _append(scene: Scene, rows: object) -> Callable[[], object]:
    table = history(scene.settings)
    good = table.current_snapshot()
    assert good is not None
    table.append(rows.cast(table.schema().as_arrow()))  # type: ignore[attr-defined]
    return lambda: history(scene.settings).manage_snapshots().rollback_to_snapshot(good.snapshot_id).commit()


def lose_history_row(scene: Scene) -> Callable[[], object]:
    table = history(scene.settings)
    good = table.current_snapshot()
    assert good is not None
    gone = table.scan(limit=1).to_arrow().column("record_id")[0].as_py()
    table.delete(f"record_id = '{gone}'")
    return lambda: history(scene.settings).manage_snapshots().rollback_to_snapshot(good.snapshot_id).commit()


def miscount_merge(scene: Scene) -> Callable[[], object]:
    scene.sql("update ops.merge set duplicates = duplicates + 3 where kind = 'stragglers'")
    return lambda: scene.sql("update ops.merge set duplicates = duplicates - 3 where kind = 'stragglers'")


def edit_mart(scene: Scene) -> Callable[[], object]:
    scene.sql("update marts.device_day set distance_gps_km = distance_gps_km + 0.1 where device_id = 'veh-0003'")
    return lambda: scene.sql(
        "update marts.device_day set distance_gps_km = distance_gps_km - 0.1 where device_id = 'veh-0003'"
    )


def edit_time_off(scene: Scene) -> Callable[[], object]:
    scene.sql("update marts.device_day set off_s = off_s + 60 where device_id = 'veh-0003'")
    return lambda: scene.sql("update marts.device_day set off_s = off_s - 60 where device_id = 'veh-0003'")


def edit_fleet_day(scene: Scene) -> Callable[[], object]:
    scene.sql("update marts.fleet_day set fuel_l = fuel_l + 1 where fleet_id = '3'")
    return lambda: scene.sql("update marts.fleet_day set fuel_l = fuel_l - 1 where fleet_id = '3'")


def edit_completeness(scene: Scene) -> Callable[[], object]:
    scene.sql("update marts.data_completeness_day set records_late = records_late + 1 where fleet_id = '3'")
    return lambda: scene.sql(
        "update marts.data_completeness_day set records_late = records_late - 1 where fleet_id = '3'"
    )


def drop_staged_row(scene: Scene) -> Callable[[], object]:
    where = "where device_id = 'veh-0003' and day = '2026-11-02'"
    scene.sql(f"create table kept as select * from staging.device_day {where}")
    scene.sql(f"delete from staging.device_day {where}")

    def restore() -> None:
        scene.sql("insert into staging.device_day select * from kept")
        scene.sql("drop table kept")

    return restore


BREAKS = [
    (drop_landing_object, "R4", "lacks 1 object that its cursor has passed"),
    (drop_ledger_entry, "R1", "is broken: an entry starts after"),
    (miscount_entry, "R0", "user records of shardId-"),
    (miscount_entry, "R2", "landed, rejected and suppressed make 340"),
    (swap_landed_and_rejected, "R2", "landed 299 but 300, not_json 41 but 40; 0 erased"),
    (swap_reasons, "R2", "not_json 0 but 40, too_large 40 but 0; 0 erased"),
    (move_lease_on, "R1", "an entry is missing from the ledger table"),
    (delete_object, "R3", "objects of the ledger that are not in the bucket: 1"),
    (swap_object, "R2", "says 3 rows but the ledger 200"),
    (add_stranger, "R3", "by-hand.parquet"),
    (add_history_row, "R4", "1 record that no landing object of the ledger holds, in the UTC event days 2026-11-02"),
    (repeat_history_row, "R4", "1 row whose identity it already has"),
    (lose_history_row, "R4", "lacks 1 record of landing objects"),
    (miscount_merge, "R4", "43 duplicates in ops.merge but the stores hold 40"),
    (forget_harvest, "R5", "are not harvested yet, so no device day can be compared"),
    (expire_harvest, "R5", "has expired, so no device day can be compared"),
    (edit_mart, "R6", "the sum of distance_gps_km"),
    (edit_time_off, "R6", "the sum of off_s"),
    (edit_fleet_day, "R6", "in marts.fleet_day"),
    (edit_completeness, "R6", "in marts.data_completeness_day"),
    (drop_staged_row, "R6", "on 2026-11-02 history.device_day has"),
]


@pytest.mark.parametrize(("break_it", "check", "said"), BREAKS, ids=[f"{made.__name__}-{c}" for made, c, _ in BREAKS])
def test_a_broken_store_is_named(
    scene: Scene, break_it: Callable[[Scene], Callable[[], object]], check: str, said: str
) -> None:
    mend = break_it(scene)
    try:
        result = reconcile(scene.settings)
    finally:
        mend()
    assert not result.ok
    assert any(said in sentence for sentence in differing(result, check)), result.differences


def test_what_is_on_the_stream_and_not_read_is_backlog(scene: Scene) -> None:
    """Last: what was put on a stream cannot be taken back."""
    scene.put(30, 1)
    result = reconcile(scene.settings)
    assert result.ok, result.differences
    assert (result.stages["stream"], result.stages["backlog"]) == (646, 30)
