"""Ways to break one store of a scene behind the others' backs. Each gives back what mends it."""

from collections.abc import Callable
from datetime import timedelta

from msgspec.structs import replace

from contracts.ledger import LeaseRow
from contracts.names import bucket, ledger_table, padded_sequence
from lake.iceberg.tables import history
from tests.builders.query import DAY, Rows, as_object
from tests.builders.scene import Scene


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


def edit_staged_episode(scene: Scene) -> Callable[[], object]:
    change = "update staging.episode set duration_s = duration_s {} 60 where device_id = 'veh-0003'"
    scene.sql(change.format("+"))
    return lambda: scene.sql(change.format("-"))


def move_staged_fault(scene: Scene) -> Callable[[], object]:
    scene.sql("update staging.fault_day set day = day + 40 where device_id = 'veh-0003'")
    return lambda: scene.sql("update staging.fault_day set day = day - 40 where device_id = 'veh-0003'")


def edit_idling(scene: Scene) -> Callable[[], object]:
    change = "update marts.idling_event set duration_s = duration_s {} 60 where device_id = 'veh-0003'"
    scene.sql(change.format("+"))
    return lambda: scene.sql(change.format("-"))


def drop_staged_row(scene: Scene) -> Callable[[], object]:
    where = "where device_id = 'veh-0003' and day = '2026-11-02'"
    scene.sql(f"create table kept as select * from staging.device_day {where}")
    scene.sql(f"delete from staging.device_day {where}")

    def restore() -> None:
        scene.sql("insert into staging.device_day select * from kept")
        scene.sql("drop table kept")

    return restore
