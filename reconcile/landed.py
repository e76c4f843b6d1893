"""What Postgres says of landing: the objects that were taken in for merging, and which of their rows were merged."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from contracts.ledger import LANDED, ON_TIME_AFTER_S, ON_TIME_BEFORE_S, LandedObject
from reconcile.beginning import Beginning
from reconcile.ledger import LedgerState, number
from reconcile.losses import Loss
from reconcile.model import Findings, counted, named


class Landed(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ops.landing_object: which of its rows should be in history."""

    key: str
    hour: datetime
    rows: int
    stragglers: int
    on_time_merged: bool
    stragglers_merged: bool
    committed_at: datetime

    @property
    def merged(self) -> int:
        """Its rows that merges have read."""
        on_time = self.rows - self.stragglers if self.on_time_merged else 0
        return on_time + (self.stragglers if self.stragglers_merged else 0)


class Merges(msgspec.Struct, frozen=True, kw_only=True):
    """What ops.merge says, over all commits."""

    rows_read: int
    inserted: int
    duplicates: int


def read_landed(postgres: "psycopg.Connection[Any]", beginnings: Mapping[str, Beginning]) -> list[Landed]:
    """Every object that was taken in from the ledger, those up to a shard's beginning left out.

    Read it before history's snapshot: merging marks it after.
    """
    query = """select shard_id, last_seq, key, hour, rows, stragglers, on_time_merged is not null,
        stragglers_merged is not null, committed_at from ops.landing_object order by key"""
    begins = {shard: number(beginning.last_seq) for shard, beginning in beginnings.items()}
    fields = Landed.__struct_fields__
    return [
        Landed(**dict(zip(fields, row, strict=True)))
        for shard, last_seq, *row in postgres.execute(query).fetchall()
        if number(last_seq) > begins.get(shard, -1)
    ]


def read_merges(postgres: "psycopg.Connection[Any]") -> Merges:
    """Sums over ops.merge."""
    query = (
        "select coalesce(sum(rows_read), 0), coalesce(sum(inserted), 0), coalesce(sum(duplicates), 0) from ops.merge"
    )
    row = postgres.execute(query).fetchone()
    read, inserted, duplicates = row if row is not None else (0, 0, 0)
    return Merges(rows_read=int(read), inserted=int(inserted), duplicates=int(duplicates))


def check_taken_in(state: LedgerState, landed: list[Landed], cursors: dict[str, str], findings: Findings) -> None:
    """ops.landing_object has the ledger's landed objects up to the intake's cursors, and nothing else.

    cursors: last_seq by shard, of ops.landing_cursor.
    """
    ledger: dict[str, LandedObject] = {}
    taken = {item.key: item for item in landed}
    gone, waiting = [], 0
    for entry in state.all_entries():
        for made in entry.objects:
            if made.kind != LANDED:
                continue
            ledger[made.key] = made
            if made.key not in taken:
                passed = number(entry.last_seq) <= number(cursors.get(entry.shard_id, ""))
                gone += [made.key] if passed else []
                waiting += not passed
    if waiting:
        findings.note("R4", f"landed objects that are not taken in for merging yet: {waiting}; run process")
    if gone:
        findings.differs(
            "R4",
            f"ops.landing_object lacks {counted(len(gone), 'object')} that its cursor has passed ({named(gone)}); "
            "delete the rows of ops.landing_cursor and run process: taking in again adds what is missing",
        )
    _check_rows(taken, ledger, findings)


def _check_rows(taken: dict[str, Landed], ledger: dict[str, LandedObject], findings: Findings) -> None:
    unlisted = sorted(taken.keys() - ledger.keys())
    strange = [key for key in unlisted if not findings.accepted.has("unlisted", key)]
    unmerged = [key for key in strange if not taken[key].merged]
    if unmerged:
        findings.differs(
            "R4",
            f"ops.landing_object has {counted(len(unmerged), 'object')} that the ledger does not ({named(unmerged)}); "
            "delete those rows: an object that the ledger does not list does not count",
        )
    _report_forgotten([taken[key] for key in strange if taken[key].merged], findings)
    for key in sorted(taken.keys() & ledger.keys()):
        if taken[key].rows != ledger[key].rows:
            findings.differs(
                "R4",
                f"ops.landing_object counts {taken[key].rows} rows in {key} but the ledger {ledger[key].rows}; "
                "set the row's count to the ledger's",
            )


def _report_forgotten(objects: list[Landed], findings: Findings) -> None:
    """Objects that were merged and whose ledger entries are gone, as after a crash of the emulated stream."""
    if not objects:
        return
    losses = [Loss(kind="unlisted", place=item.key, records=item.merged) for item in objects]
    findings.lost(
        "R4",
        f"history has {counted(sum(item.merged for item in objects), 'record')} of "
        f"{counted(len(objects), 'landing object')} that the ledger no longer lists "
        f"({named([item.key for item in objects])}); restore those entries from a backup of the ledger",
        *losses,
    )


class Late:
    """Records that came too late for their hour and wait in landing until a merge is worth it."""

    def __init__(self, wait_h: float) -> None:
        self._wait = timedelta(hours=wait_h)
        self._waiting = 0
        self._due_by: datetime | None = None

    def add(self, item: Landed, rows: pa.Table) -> None:
        """Count an object's rows that wait."""
        count = 0 if item.stragglers_merged else rows.num_rows - int(pc.sum(_on_time_mask(item, rows)).as_py() or 0)
        if count:
            due = item.committed_at + self._wait
            self._waiting += count
            self._due_by = due if self._due_by is None else max(due, self._due_by)

    def note(self, unmerged: int, findings: Findings) -> None:
        """Say what waits for `process`, and what `process` itself lets wait."""
        if self._due_by is None or self._due_by <= datetime.now(UTC):
            self._waiting = 0
        if unmerged > self._waiting:
            findings.note("R4", f"landed records that wait to be merged: {unmerged - self._waiting:,}; run process")
        if unmerged and self._waiting and self._due_by is not None:
            findings.note(
                "R4",
                f"late records that wait in landing until merging them is worth a run: {self._waiting:,}; `process` "
                f"merges the last of them after {self._due_by.astimezone(UTC):%Y-%m-%d %H:%M} UTC, and `trail` has "
                "them already",
            )


def merged_mask(item: Landed, rows: pa.Table) -> pa.ChunkedArray:
    """Which of an object's rows merges have read."""
    return pc.if_else(_on_time_mask(item, rows), item.on_time_merged, item.stragglers_merged)


def _on_time_mask(item: Landed, rows: pa.Table) -> pa.ChunkedArray:
    ts = rows.column("ts")
    start = pa.scalar(item.hour - timedelta(seconds=ON_TIME_BEFORE_S), ts.type)
    end = pa.scalar(item.hour + timedelta(hours=1, seconds=ON_TIME_AFTER_S), ts.type)
    return pc.and_(pc.greater_equal(ts, start), pc.less(ts, end))
