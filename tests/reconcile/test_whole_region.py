"""A whole region adds up, and each store that is broken on purpose is named."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from pathlib import Path

import pytest
from msgspec.structs import replace

import stack as embedded
from contracts.names import bucket
from contracts.settings import RegionSettings
from lake.iceberg.tables import history
from reconcile import Reconciliation, reconcile
from reconcile.model import STAGES, WAITING
from reconcile.ops import Ops, read_ops
from tests.builders import breaks
from tests.builders.query import Rows
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
        "acknowledged": 0,
        "stream": 646,
        "forgotten": 0,
        "landed": 600,
        "rejected": 41,
        "suppressed": 5,
        "history": 560,
        "duplicates": 40,
        "device_day": 560,
        "marts": 560,
        "expired": 0,
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

    monkeypatch.setattr(import_module("reconcile.reconcile"), "read_ops", then_a_run_begins)
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


def test_a_stream_that_is_read_from_a_time_on_is_counted_from_there(one_region: Path) -> None:
    late = Scene(RegionSettings.load(embedded.region_environment(one_region, "eu", {})))
    late.put(5, 0)
    start = datetime.now(UTC) + timedelta(milliseconds=5)
    while datetime.now(UTC) < start + timedelta(milliseconds=5):
        pass
    entry = late.flush(Rows().make(devices=2, each=3))
    late.put_lease(replace(late.leases[entry.shard_id], start_ms=int(start.timestamp() * 1000)))
    result = reconcile(late.settings)
    assert result.ok, result.differences
    assert result.stages["stream"] == 6


BREAKS = [
    (breaks.drop_landing_object, "R4", "lacks 1 object that its cursor has passed"),
    (breaks.drop_ledger_entry, "R1", "is broken: an entry starts after"),
    (breaks.miscount_entry, "R0", "user records of shardId-"),
    (breaks.miscount_entry, "R2", "landed, rejected and suppressed make 340"),
    (breaks.swap_landed_and_rejected, "R2", "landed 299 but 300, not_json 41 but 40; 0 erased"),
    (breaks.swap_reasons, "R2", "not_json 0 but 40, too_large 40 but 0; 0 erased"),
    (breaks.move_lease_on, "R1", "an entry is missing from the ledger table"),
    (breaks.delete_object, "R3", "objects of the ledger that are not in the bucket: 1"),
    (breaks.swap_object, "R2", "says 3 rows but the ledger 200"),
    (breaks.add_stranger, "R3", "by-hand.parquet"),
    (
        breaks.add_history_row,
        "R4",
        "1 record that no landing object of the ledger holds, in the UTC event days 2026-11-02",
    ),
    (breaks.repeat_history_row, "R4", "1 row whose identity it already has"),
    (breaks.lose_history_row, "R4", "lacks 1 record of landing objects"),
    (breaks.miscount_merge, "R4", "43 duplicates in ops.merge but the stores hold 40"),
    (breaks.forget_harvest, "R5", "are not harvested yet, so no device day can be compared"),
    (breaks.expire_harvest, "R5", "has expired, so no device day can be compared"),
    (breaks.edit_mart, "R6", "the sum of distance_gps_km"),
    (breaks.edit_time_off, "R6", "the sum of off_s"),
    (breaks.edit_fleet_day, "R6", "in marts.fleet_day"),
    (breaks.edit_completeness, "R6", "in marts.data_completeness_day"),
    (breaks.drop_staged_row, "R6", "on 2026-11-02 history.device_day has"),
    (breaks.edit_staged_episode, "R6", "the sum of duration_s"),
    (breaks.move_staged_fault, "R6", "history.fault_day has"),
    (breaks.edit_idling, "R6", "in marts.idling_event"),
]


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "new"])
@pytest.mark.parametrize(("break_it", "check", "said"), BREAKS, ids=[f"{made.__name__}-{c}" for made, c, _ in BREAKS])
def test_a_broken_store_is_named(
    scene: Scene, break_it: Callable[[Scene], Callable[[], object]], check: str, said: str, whole: bool
) -> None:
    """By a proof of the whole, and by one that starts from a proof that held before the store was broken."""
    if not whole:
        assert reconcile(scene.settings).ok
    mend = break_it(scene)
    try:
        result = reconcile(scene.settings, whole=whole)
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
