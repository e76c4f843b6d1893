"""A loss that nothing brings back is accepted once, by name, and stays on record; what is lost later is told again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
from msgspec.structs import replace

import stack as embedded
from contracts.errors import Misuse
from contracts.ledger import LedgerEntry
from contracts.names import bucket, ledger_table, padded_sequence
from contracts.settings import RegionSettings
from reconcile import accept, reconcile
from reconcile.landed import Landed, Late
from reconcile.ledger import check_chain
from reconcile.losses import Accepted, AcceptedLoss
from reconcile.model import Findings
from reconcile.stream import ShardCount, _compare
from tests.builders.query import DAY, Rows
from tests.builders.scene import Scene

SHARD = "shardId-000000000000"
WHY = "the emulator was killed"


@pytest.fixture(scope="module")
def forgetful(own_stack: Path) -> Scene:
    """Region ap after a crash of its emulator: 20 records of a merged object are known to history alone, whose object
    the janitor has removed, and the stream holds 3 records fewer than an entry counts.
    """
    made = Scene(RegionSettings.load(embedded.region_environment(own_stack, "ap", {})))
    rows = Rows()
    kept = rows.make(devices=2, each=15, start=DAY + timedelta(hours=7, minutes=5))
    lost = rows.make(devices=2, each=10, start=DAY + timedelta(hours=9, minutes=5))
    first = made.flush(kept)
    second = made.flush(lost)
    made.merge(pa.concat_tables([kept, lost]))
    made.load(made.derive())
    _forget(made, second, back_to=first)
    made.put_entry(replace(first, user_records=first.user_records + 3, suppressed=3))
    return made


def _forget(scene: Scene, entry: LedgerEntry, back_to: LedgerEntry) -> None:
    """As a snapshot of the emulator from before that entry has it, and as the janitor leaves the bucket."""
    key = {"shard_id": {"S": entry.shard_id}, "last_seq": {"S": padded_sequence(entry.last_seq)}}
    scene.dynamodb.delete_item(TableName=ledger_table(scene.region), Key=key)
    scene.put_lease(replace(scene.leases[entry.shard_id], position=back_to.last_seq))
    scene.s3.delete_object(Bucket=bucket(scene.region), Key=entry.objects[0].key)


def test_what_a_crash_of_the_stream_took_is_accepted_and_reconciliation_agrees_again(forgetful: Scene) -> None:
    first, second = forgetful.entries
    before = reconcile(forgetful.settings)
    names = {loss.name: loss.records for loss in before.losses}
    assert not before.ok
    assert names == {
        f"forgotten:{first.shard_id}/{first.last_seq}": 3,
        f"unlisted:{second.objects[0].key}": 20,
    }
    with pytest.raises(Misuse, match="did not find the loss unlisted:landing/other; it found forgotten:"):
        accept(forgetful.settings, before.losses, ["unlisted:landing/other"], "ana", WHY)
    with pytest.raises(Misuse, match="--who NAME --why REASON"):
        accept(forgetful.settings, before.losses, list(names), " ", WHY)
    assert not reconcile(forgetful.settings).ok, "nothing was accepted yet"

    accept(forgetful.settings, before.losses, list(names), "ana", WHY)

    after = reconcile(forgetful.settings)
    assert after.ok, after.differences
    assert after.losses == []
    stages = after.stages
    assert (stages["stream"], stages["forgotten"], stages["landed"], stages["suppressed"]) == (30, 23, 50, 3)
    assert (stages["history"], stages["duplicates"], stages["unmerged"]) == (50, 0, 0)
    told = [note for note in after.notes if f"by ana on {datetime.now(UTC):%Y-%m-%d}" in note]
    assert [WHY in note for note in told] == [True, True]


def test_what_is_lost_later_is_told_and_the_accepted_loss_stays(forgetful: Scene) -> None:
    first = forgetful.entries[0]
    forgetful.put_entry(replace(first, user_records=first.user_records + 4, suppressed=4))
    try:
        result = reconcile(forgetful.settings)
    finally:
        forgetful.put_entry(replace(first, user_records=first.user_records + 3, suppressed=3))
    assert [(loss.kind, loss.records) for loss in result.losses] == [("forgotten", 1)]
    assert result.stages["forgotten"] == 23


def test_what_was_accepted_cannot_be_changed_or_taken_back(forgetful: Scene) -> None:
    for statement in ("update ops.accepted_loss set who = 'bo'", "delete from ops.accepted_loss"):
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            forgetful.sql(statement)
    assert forgetful.sql("select distinct who, why from ops.accepted_loss") == [("ana", WHY)]


def test_only_what_was_found_can_be_accepted(forgetful: Scene) -> None:
    found = reconcile(forgetful.settings).losses
    with pytest.raises(Misuse, match="it found none that can be accepted"):
        accept(forgetful.settings, found, ["all"], "ana", WHY)


def entry(last: str, records: int, *, lost: bool = False) -> LedgerEntry:
    counts = {"kinesis_records": records, "user_records": records, "landed": records, "suppressed": 0, "rejected": {}}
    where = {"shard_id": SHARD, "after_seq": "", "last_seq": last, "fence": 1, "worker": "w", "committed_ms": 1}
    return LedgerEntry(**where, **counts, watermark_ms=0, objects=[], lost=lost)


def accepted(kind: str, place: str, records: int | None) -> Accepted:
    row = AcceptedLoss(kind=kind, place=place, records=records, who="ana", why=WHY, accepted_at=datetime.now(UTC))
    return Accepted([row])


def test_once_retention_has_trimmed_the_rest_an_accepted_loss_counts_the_same() -> None:
    findings = Findings(accepted=accepted("forgotten", f"{SHARD}/9", 3))

    total = _compare(SHARD, [entry("9", 10)], ShardCount(by_entry=[0], oldest=99), None, True, findings)

    assert (total, findings.stages["forgotten"], findings.differences) == (7, 3, [])


def test_records_that_the_stream_holds_again_are_not_counted_as_forgotten() -> None:
    findings = Findings(accepted=accepted("forgotten", f"{SHARD}/9", 3))

    total = _compare(SHARD, [entry("9", 10)], ShardCount(by_entry=[10], oldest=1), None, False, findings)

    assert (total, findings.stages["forgotten"], findings.differences) == (10, 0, [])


def test_records_trimmed_before_they_were_read_can_be_accepted() -> None:
    from reconcile.ledger import LedgerState

    state = LedgerState(leases={}, entries={SHARD: [entry("9", 10, lost=True)]}, beyond={SHARD: []}, now={})
    found, later = Findings(), Findings(accepted=accepted("trimmed", f"{SHARD}/9", None))

    check_chain(state, found)
    check_chain(state, later)

    assert [loss.name for loss in found.losses] == [f"trimmed:{SHARD}/9"]
    assert f"--accept-loss trimmed:{SHARD}/9" in found.differences[0]
    assert later.differences == []


@pytest.mark.parametrize(("committed", "said"), [("now", "merges the last of them after"), ("old", "run process")])
def test_late_records_are_not_said_to_wait_for_a_process_that_lets_them_wait(committed: str, said: str) -> None:
    at = datetime.now(UTC) if committed == "now" else DAY
    item = Landed(
        key="k",
        hour=DAY + timedelta(hours=12),
        rows=4,
        stragglers=4,
        on_time_merged=True,
        stragglers_merged=False,
        committed_at=at,
    )
    findings, late = Findings(), Late(6.0)
    late.add(item, Rows().make(devices=1, each=4))

    late.note(4, findings)

    (note,) = findings.notes
    assert said in note
    assert ("run process" in note) == (committed == "old")
