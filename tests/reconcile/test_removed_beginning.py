"""What maintenance removes of the ledger is proven before and counts after; what is not proven stays."""

import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from msgspec.structs import replace
from pyiceberg.expressions import EqualTo, Reference

import stack as embedded
from contracts.ledger import LedgerEntry
from contracts.names import bucket, ledger_table, replayed_prefix
from contracts.settings import RegionSettings
from lake.iceberg.tables import history
from lake.maintain import prune
from lake.maintain.prune import prune_ledger
from lake.merge.progress import merged_counts
from reconcile import Reconciliation, reconcile
from reconcile.beginning import while_nothing_is_removed
from tests.builders.consumer_process import region_file
from tests.builders.query import DAY, Rows, again, device_name
from tests.builders.scene import Scene

NOTHING = {"ledger_entries_removed": 0, "landing_objects_removed": 0}


@pytest.fixture(scope="module")
def four_regions() -> Iterator[Path]:
    state = Path(tempfile.mkdtemp(prefix="fleetlake-beginning-"))
    try:
        embedded.up(state, region_file(state, shards=1, regions=("eu", "us", "ap", "af")))
        yield state
    finally:
        embedded.down(state)
        shutil.rmtree(state, ignore_errors=True)


def three_flushes(state: Path, region: str) -> Scene:
    """One shard: 100 records, 4 rejected; 50, 3 suppressed; 30 and 7 that repeat the first's. All processed."""
    made = Scene(RegionSettings.load(embedded.region_environment(state, region, {})))
    rows = Rows()
    first = rows.make(devices=5, each=20, start=DAY + timedelta(hours=7, minutes=5))
    second = rows.make(devices=5, each=10, start=DAY + timedelta(hours=8, minutes=5))
    third = rows.make(devices=5, each=6, start=DAY + timedelta(hours=9, minutes=5))
    copies = again(first.slice(0, 7), timedelta(hours=2))
    made.flush(first, rejected=4)
    made.flush(second, suppressed=3)
    made.flush(pa.concat_tables([third, copies]))
    made.merge(pa.concat_tables([first, second, third]))
    made.merge(copies, "stragglers")
    made.load(made.derive())
    return made


def in_a_year() -> datetime:
    return datetime.now(UTC) + timedelta(days=366)


def entries_of(scene: Scene) -> list[int]:
    items = scene.dynamodb.scan(TableName=ledger_table(scene.region))["Items"]
    return sorted(int(item["last_seq"]["S"]) for item in items)


def keys_of(scene: Scene) -> set[str]:
    found = scene.s3.list_objects_v2(Bucket=bucket(scene.region)).get("Contents", ())
    return {item["Key"] for item in found if item["Key"].startswith(("landing/", "rejected/", "replayed/"))}


def agreeing(scene: Scene) -> Reconciliation:
    result = reconcile(scene.settings)
    assert result.ok, result.differences
    return result


def test_what_goes_was_proven_is_counted_by_its_sums_and_a_loss_of_history_is_still_found(four_regions: Path) -> None:
    scene = three_flushes(four_regions, "eu")
    first, second, third = scene.entries
    assert prune_ledger(scene.settings, in_a_year()) == NOTHING, "no reconciliation has agreed yet"
    before = agreeing(scene)
    mark = replayed_prefix(first.objects[1].key) + "0"
    scene.put_object(mark, b"")
    assert prune_ledger(scene.settings) == NOTHING, "landing's retention has not passed"

    done = prune_ledger(scene.settings, in_a_year())

    assert done == {"ledger_entries_removed": 2, "landing_objects_removed": 3}
    assert entries_of(scene) == [int(third.last_seq)], "a lease's newest entry stays"
    assert keys_of(scene) == {third.objects[0].key}
    assert scene.sql("select key from ops.landing_object") == [(third.objects[0].key,)]
    after = agreeing(scene)
    assert after.stages == before.stages
    assert after.stages["duplicates"] == 7, "a record whose first copy is gone is a duplicate still"
    assert any(f"{first.user_records + second.user_records:,} user records" in note for note in after.notes)
    assert prune_ledger(scene.settings, in_a_year()) == NOTHING
    held, told = merged_counts(scene.settings)
    assert held == told == 187

    history(scene.settings).delete(EqualTo(term=Reference("device_id"), value=device_name(0)))
    lost = reconcile(scene.settings)
    assert any("rows inserted in ops.merge" in sentence for sentence in lost.differences)


def test_nothing_goes_from_the_first_entry_on_that_history_has_not_or_that_was_merged_after_the_proof(
    four_regions: Path,
) -> None:
    scene = three_flushes(four_regions, "us")
    agreeing(scene)
    keys = [entry.objects[0].key for entry in scene.entries]
    change = "update ops.landing_object set on_time_merged = {} where key = %s"
    scene.sql(change.format("now() + interval '2 years'"), [keys[0]])
    assert prune_ledger(scene.settings, in_a_year()) == NOTHING, "merged after the proof"
    scene.sql(change.format("now() - interval '1 day'"), [keys[0]])
    kept = scene.settings.model_copy(update={"landing_keep_days": 0})
    assert prune_ledger(kept, in_a_year()) == NOTHING, "landing is kept for ever"
    with while_nothing_is_removed(scene.settings):
        assert prune_ledger(scene.settings, in_a_year()) == NOTHING, "a reconciliation runs"

    scene.sql(change.format("null"), [keys[1]])
    assert prune_ledger(scene.settings, in_a_year()) == {"ledger_entries_removed": 1, "landing_objects_removed": 2}
    assert entries_of(scene) == [int(entry.last_seq) for entry in scene.entries[1:]]
    assert set(keys[1:]) <= keys_of(scene)


def test_a_removal_that_is_cut_short_is_known_as_the_beginnings_and_finished_by_the_next(
    four_regions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = three_flushes(four_regions, "ap")
    before = agreeing(scene)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for step in ("_delete_objects", "_delete_entries"):
        monkeypatch.setattr(prune._Pruning, step, killed)
        with pytest.raises(KeyboardInterrupt):
            prune_ledger(scene.settings, in_a_year())
        monkeypatch.undo()
        assert agreeing(scene).stages == before.stages
    assert len(entries_of(scene)) == 3
    assert prune_ledger(scene.settings, in_a_year())["ledger_entries_removed"] == 2
    assert len(entries_of(scene)) == 1
    assert agreeing(scene).stages == before.stages


def test_merged_landing_that_its_bucket_let_expire_is_no_loss_and_any_other_is(four_regions: Path) -> None:
    scene = three_flushes(four_regions, "af")
    before = agreeing(scene)
    first, second, _ = scene.entries

    def remove(entry: LedgerEntry) -> None:
        for item in entry.objects:
            scene.s3.delete_object(Bucket=bucket(scene.region), Key=item.key)

    scene.put_entry(replace(first, committed_ms=first.committed_ms - 91 * 86_400_000))
    remove(first)
    after = agreeing(scene)
    assert after.stages == before.stages
    assert "R3: objects that landing's retention has passed and that are gone: 2" in after.notes

    scene.sql("update ops.landing_object set on_time_merged = null where key = %s", [first.objects[0].key])
    assert any("not in the bucket: 1" in sentence for sentence in reconcile(scene.settings).differences)
    scene.sql("update ops.landing_object set on_time_merged = now() where on_time_merged is null")

    remove(second)
    assert any("not in the bucket: 1" in sentence for sentence in reconcile(scene.settings).differences)
