"""Entries of an earlier stream of the name are counted from the ledger; those of the present one from the stream."""

from typing import Any

from contracts.ledger import LeaseRow, LedgerEntry
from reconcile.model import Findings
from reconcile.stream import ShardCount, _compare

_SHARD = "shardId-000000000000"
_LEASE = LeaseRow(shard_id=_SHARD, position="9", earlier_seq="5")


def _entry(after: str, last: str, records: int) -> LedgerEntry:
    counts: dict[str, Any] = {"kinesis_records": records, "user_records": records, "landed": records, "suppressed": 0}
    where = {"shard_id": _SHARD, "after_seq": after, "last_seq": last, "fence": 1, "worker": "w", "committed_ms": 1}
    return LedgerEntry(**where, **counts, rejected={}, watermark_ms=0, objects=[])


_CHAIN = [_entry("", "3", 20), _entry("3", "5", 10), _entry("5", "9", 7)]


def test_what_the_earlier_stream_held_is_counted_from_the_ledger() -> None:
    findings = Findings()
    count = ShardCount(by_entry=[0, 0, 7], oldest=6)
    assert _compare(_SHARD, _CHAIN, count, _LEASE, False, findings) == 37
    assert findings.differences == []
    assert any("30 user records" in note and "earlier stream" in note for note in findings.notes)


def test_what_the_present_stream_lacks_is_still_found() -> None:
    findings = Findings()
    _compare(_SHARD, _CHAIN, ShardCount(by_entry=[0, 0, 6], oldest=6), _LEASE, False, findings)
    assert len(findings.differences) == 1


def test_without_a_move_every_entry_is_compared_with_the_stream() -> None:
    findings = Findings()
    lease = LeaseRow(shard_id=_SHARD, position="9")
    _compare(_SHARD, _CHAIN, ShardCount(by_entry=[0, 0, 7], oldest=6), lease, False, findings)
    assert len(findings.differences) == 2
