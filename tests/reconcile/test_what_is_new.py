"""A proof that starts from the last one that held finds what a proof of the whole finds, and reads what is new."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import stack as embedded
from contracts.names import bucket
from contracts.settings import RegionSettings
from lake.iceberg.tables import history
from reconcile import Reconciliation, reconcile
from reconcile.proof import read_proof
from tests.builders.query import DAY, Rows, again, as_object
from tests.builders.scene import Scene

OLD, NEW = DAY - timedelta(days=1), DAY
"""A day that nothing is added to, and one that grows."""


@pytest.fixture(scope="module")
def grown(one_region: Path) -> Scene:
    """Two days proven; then one of them grew by 40 records, 7 repetitions of proven ones among 47 landed."""
    made = Scene(RegionSettings.load(embedded.region_environment(one_region, "eu", {})))
    rows = Rows(seed=3)
    yesterday = rows.make(devices=4, each=30, start=OLD + timedelta(hours=7))
    morning = rows.make(devices=4, each=20, start=NEW + timedelta(hours=7))
    noon = rows.make(devices=4, each=10, start=NEW + timedelta(hours=12))
    copies = again(morning.slice(3, 7), timedelta(hours=5))
    process(made, yesterday, rejected=2)
    process(made, morning)
    first = reconcile(made.settings)
    assert first.ok, first.differences
    assert first.whole
    made.flush(pa.concat_tables([noon, copies]), rejected=1)
    made.merge(noon)
    made.merge(copies, "stragglers")
    made.load(made.derive())
    return made


def process(scene: Scene, rows: pa.Table, rejected: int = 0) -> None:
    scene.flush(rows, rejected=rejected)
    scene.merge(rows)
    scene.load(scene.derive())


def lose(scene: Scene, row: pa.Table) -> None:
    history(scene.settings).delete(f"record_id = '{row.column('record_id')[0].as_py()}'")


def double(scene: Scene, row: pa.Table) -> None:
    history(scene.settings).append(row)


def change(scene: Scene, row: pa.Table) -> None:
    """Another record in place of this one, with the same device and time."""
    lose(scene, row)
    history(scene.settings).append(with_text(row, "record_id", ["b:00000000000000000000000000000000"]))


def move(scene: Scene, row: pa.Table) -> None:
    """The same record of another device."""
    lose(scene, row)
    history(scene.settings).append(with_text(row, "device_id", ["veh-0002"]))


def with_text(rows: pa.Table, name: str, values: list[str]) -> pa.Table:
    at = rows.schema.get_field_index(name)
    return rows.set_column(at, rows.schema.field(at), pa.array(values, rows.schema.field(at).type))


FAULTS = {
    lose: "history lacks 1 record",
    double: "1 row whose identity it already has",
    change: "1 record that no landing object",
    move: "1 record that no landing object",
}
"""What a proof says of each."""
PLACES = {
    "old day": f"ts < '{NEW:%Y-%m-%dT%H:%M:%S}+00:00'",
    "proven part of a day": f"ts >= '{NEW:%Y-%m-%d}T07:00:00+00:00' and ts < '{NEW:%Y-%m-%d}T08:00:00+00:00'",
    "new part": f"ts >= '{NEW:%Y-%m-%d}T12:00:00+00:00'",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_row_lost_doubled_or_changed_is_found_wherever_it_is(
    grown: Scene, fault: Callable[[Scene, pa.Table], None], place: str
) -> None:
    table = history(grown.settings)
    good = table.current_snapshot()
    assert good is not None
    one = table.scan(row_filter=f"{PLACES[place]} and device_id = 'veh-0001'", limit=1).to_arrow()
    try:
        fault(grown, one)
        result = reconcile(grown.settings)
    finally:
        history(grown.settings).manage_snapshots().rollback_to_snapshot(good.snapshot_id).commit()
    assert any(FAULTS[fault] in sentence for sentence in result.differences), result.differences
    assert result.whole, "what does not agree is proven anew, all of it"


def other_rows(scene: Scene, key: str) -> bytes:
    """As many rows as the object has, other records of the same devices and times."""
    body = scene.s3.get_object(Bucket=bucket(scene.region), Key=key)["Body"].read()
    rows = pq.read_table(pa.BufferReader(body))
    return as_object(with_text(rows, "record_id", [f"b:{number:032x}" for number in range(rows.num_rows)]))


def test_a_proven_landing_object_with_other_rows_is_found(grown: Scene) -> None:
    key = grown.entries[0].objects[0].key
    body = grown.s3.get_object(Bucket=bucket(grown.region), Key=key)["Body"].read()
    grown.put_object(key, other_rows(grown, key))
    try:
        result = reconcile(grown.settings)
    finally:
        grown.put_object(key, body)
    assert any("history lacks 120 records" in sentence for sentence in result.differences), result.differences


@pytest.mark.parametrize("replace", [lambda body: None, lambda body: body + b"x"], ids=["gone", "another size"])
def test_a_file_of_history_that_the_bucket_lacks_is_named(
    grown: Scene, replace: Callable[[bytes], bytes | None]
) -> None:
    task = next(iter(history(grown.settings).scan(row_filter=PLACES["old day"]).plan_files()))
    key = task.file.file_path.partition("://")[2].partition("/")[2]
    body = grown.s3.get_object(Bucket=bucket(grown.region), Key=key)["Body"].read()
    other = replace(body)
    if other is None:
        grown.s3.delete_object(Bucket=bucket(grown.region), Key=key)
    else:
        grown.put_object(key, other)
    try:
        result = reconcile(grown.settings)
    finally:
        grown.put_object(key, body)
    assert any("history lists 1 file that the bucket has not" in said for said in result.differences), (
        result.differences
    )


def test_a_mark_that_is_taken_back_makes_its_days_whole_and_its_records_pending(grown: Scene) -> None:
    key = grown.entries[0].objects[0].key
    grown.sql("update ops.landing_object set on_time_merged = null where key = %s", [key])
    try:
        result, whole = reconcile(grown.settings), reconcile(grown.settings, whole=True)
    finally:
        grown.sql("update ops.landing_object set on_time_merged = now() where key = %s", [key])
    assert result.ok, result.differences
    assert result.stages == whole.stages
    assert any("not marked as merged yet: 120" in note for note in result.notes)


def days_kept(result: Reconciliation) -> str:
    return next(note for note in result.notes if "event days of history that are as they were" in note)


def test_what_is_new_holds_and_the_rest_is_not_read(grown: Scene) -> None:
    assert reconcile(grown.settings).ok
    assert "when all was last proven or since: 2 of 2" in days_kept(reconcile(grown.settings))
    more = Rows(seed=4).make(devices=3, each=5, start=NEW + timedelta(hours=15))
    process(grown, more, rejected=1)
    result = reconcile(grown.settings)
    assert result.ok, result.differences
    assert not result.whole
    assert "when all was last proven or since: 1 of 2" in days_kept(result)
    assert result.stages == reconcile(grown.settings, whole=True).stages


def test_a_day_whose_files_were_rewritten_is_read_and_adds_up(grown: Scene) -> None:
    assert reconcile(grown.settings).ok
    table = history(grown.settings)
    table.overwrite(table.scan(row_filter=PLACES["old day"]).to_arrow(), overwrite_filter=PLACES["old day"])
    grown.load(grown.derive())
    result = reconcile(grown.settings)
    assert result.ok, result.differences
    assert not result.whole
    assert "1 of 2" in days_kept(result)


def test_all_is_read_again_where_nothing_that_was_proven_may_be_kept(grown: Scene) -> None:
    assert reconcile(grown.settings).ok
    assert not reconcile(grown.settings).whole
    assert reconcile(grown.settings.model_copy(update={"whole_proof_days": 0})).whole
    grown.sql("update ops.proof set version = version - 1")
    assert reconcile(grown.settings).whole, "a proof of another version"
    grown.sql("update ops.proof set table_uuid = 'x'")
    assert reconcile(grown.settings).whole, "a proof of another table"
    assert not reconcile(grown.settings).whole


def test_what_does_not_agree_leaves_the_last_proof_as_it_was(grown: Scene) -> None:
    assert reconcile(grown.settings).ok
    before = read_proof(grown.settings)
    grown.sql("update marts.device_day set records = records + 1 where device_id = 'veh-0001'")
    try:
        assert not reconcile(grown.settings).ok
    finally:
        grown.sql("update marts.device_day set records = records - 1 where device_id = 'veh-0001'")
    assert read_proof(grown.settings) == before
