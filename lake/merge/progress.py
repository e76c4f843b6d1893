"""ops.landing_object, ops.landing_cursor and ops.merge: what landed, what of it is merged, and what each merge did.

All SQL on these tables is here, except that of spot queries (lake.trail) and of reconciliation, which only read.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import psycopg

from contracts.ledger import LandedObject, LedgerEntry, hour_of
from contracts.names import padded_sequence
from contracts.settings import LakeSettings
from lake.database import transaction
from lake.merge.plan import Kind, OpenObject

_MARK = {Kind.ON_TIME: "on_time_merged", Kind.STRAGGLERS: "stragglers_merged"}
_INDEX = {Kind.ON_TIME: "devices", Kind.STRAGGLERS: "straggler_devices"}
"""The filter that says which devices the waiting rows of a kind may be of: lake.merge.device_index."""
_ROWS = {Kind.ON_TIME: "rows - stragglers", Kind.STRAGGLERS: "stragglers"}


class LandedHour(msgspec.Struct, frozen=True):
    """The landing objects of one arrival hour, added up."""

    objects: int
    rows: int
    bytes: int
    stragglers: int


class MergeCounts(msgspec.Struct, frozen=True):
    """One merge commit: rows_read == inserted + duplicates, each counted on its own."""

    snapshot_id: int
    kind: Kind
    objects: int
    rows_read: int
    inserted: int
    duplicates: int


_LANDED = """
    select hour, count(*), sum(rows)::bigint, sum(bytes)::bigint, sum(stragglers)::bigint
    from ops.landing_object where hour = any(%s) group by hour
"""


def landed_hours(settings: LakeSettings, hours: Iterable[datetime]) -> dict[datetime, LandedHour]:
    """What landed in each of these arrival hours; hours without an object are left out."""
    with transaction(settings) as connection:
        rows = connection.execute(_LANDED, [list(hours)]).fetchall()
    return {hour.astimezone(UTC): LandedHour(*counts) for hour, *counts in rows}


def last_landed_hour(settings: LakeSettings) -> datetime | None:
    """The newest arrival hour with a landing object."""
    with transaction(settings) as connection:
        row = connection.execute("select max(hour) from ops.landing_object").fetchone()
    return row[0].astimezone(UTC) if row and row[0] else None


def first_landed_hour(settings: LakeSettings) -> datetime | None:
    """The oldest arrival hour with a landing object."""
    with transaction(settings) as connection:
        row = connection.execute("select min(hour) from ops.landing_object").fetchone()
    return row[0].astimezone(UTC) if row and row[0] else None


_MERGED = """
    select (select coalesce(sum(case when on_time_merged is null then 0 else rows - stragglers end
                                + case when stragglers_merged is null then 0 else stragglers end), 0)::bigint
            from ops.landing_object)
           + (select coalesce(sum(landed), 0)::bigint from ops.ledger_beginning),
           (select coalesce(sum(inserted + duplicates), 0)::bigint from ops.merge)
"""


def merged_counts(settings: LakeSettings) -> tuple[int, int]:
    """Rows of merged landing objects, removed ones too, and what merges inserted or dropped as duplicates: equal."""
    with transaction(settings) as connection:
        row = connection.execute(_MERGED).fetchone()
    return (row[0], row[1]) if row else (0, 0)


def inserted_rows(settings: LakeSettings) -> int:
    """Rows that all merges together inserted into history."""
    with transaction(settings) as connection:
        row = connection.execute("select coalesce(sum(inserted), 0)::bigint from ops.merge").fetchone()
    return int(row[0]) if row else 0


def lock_cursor(connection: psycopg.Connection, shard_id: str) -> str:
    """The ledger position up to which the shard is taken in, "" at its start. Locked until the transaction ends."""
    connection.execute("select pg_advisory_xact_lock(hashtext('fleetlake.intake'), hashtext(%s))", [shard_id])
    row = connection.execute("select last_seq from ops.landing_cursor where shard_id = %s", [shard_id]).fetchone()
    return row[0] if row else ""


def move_cursor(connection: psycopg.Connection, shard_id: str, last_seq: str) -> None:
    """Record that the shard's ledger entries are taken in up to `last_seq`."""
    connection.execute(
        "insert into ops.landing_cursor values (%s, %s)"
        " on conflict (shard_id) do update set last_seq = excluded.last_seq",
        [shard_id, padded_sequence(last_seq)],
    )


def add_objects(connection: psycopg.Connection, entry: LedgerEntry, objects: Sequence[LandedObject]) -> None:
    """Add a ledger entry's landed objects. A part of an object that has no rows counts as merged."""
    committed = _moment(entry.committed_ms)
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.landing_object (key, shard_id, last_seq, hour, rows, bytes, stragglers, min_ts, max_ts,"
            " committed_at, on_time_merged, stragglers_merged)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (key) do nothing",
            [
                (
                    landed.key,
                    entry.shard_id,
                    padded_sequence(entry.last_seq),
                    hour_of(landed.hour_ms),
                    landed.rows,
                    landed.bytes,
                    landed.stragglers,
                    _moment(landed.min_ts_ms),
                    _moment(landed.max_ts_ms),
                    committed,
                    committed if landed.stragglers == landed.rows else None,
                    committed if landed.stragglers == 0 else None,
                )
                for landed in objects
            ],
        )


_STALE = "select key, shard_id, last_seq from ops.landing_object"
_OF_ENTRY = """
    select key, hour, rows, stragglers, on_time_merged is not null, stragglers_merged is not null
    from ops.landing_object where shard_id = %s and last_seq = %s
"""
_REPLACE = """
    update ops.landing_object set key = %s, rows = %s, bytes = %s, stragglers = %s, min_ts = %s, max_ts = %s,
        devices = null, straggler_devices = null,
        on_time_merged = case when %s then coalesce(on_time_merged, committed_at) else on_time_merged end,
        stragglers_merged = case when %s then coalesce(stragglers_merged, committed_at) else stragglers_merged end
    where key = %s
"""
_ERASED = """
    insert into ops.merge (snapshot_id, kind, objects, rows_read, inserted, duplicates, committed_at)
    select least(coalesce(min(snapshot_id), 0), 0) - 1, 'erased', %(objects)s, -%(rows)s, 0, -%(rows)s, now()
    from ops.merge
"""


def stale_entries(connection: psycopg.Connection, entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """The entries of whose objects ops.landing_object still has others, which an erasure has rewritten."""
    listed = {(one.shard_id, padded_sequence(one.last_seq)): one for one in entries}
    keys = {item.key for one in entries for item in one.objects}
    rows = connection.execute(_STALE).fetchall()
    places = {(shard, last) for key, shard, last in rows if key not in keys and (shard, last) in listed}
    return [listed[place] for place in sorted(places)]


def replace_objects(connection: psycopg.Connection, entry: LedgerEntry) -> None:
    """ops.landing_object has the objects that the entry has now, and ops.merge counts the rows that are left.

    An erased row that a merge had read is taken off what merges have read; it is no duplicate any more either, until
    account_merges takes it off what they have inserted. Safe to repeat: what is right already is left alone.
    """
    lock_accounts(connection)
    new = {hour_of(item.hour_ms): item for item in entry.objects if item.key.startswith("landing/")}
    rows = connection.execute(_OF_ENTRY, [entry.shard_id, padded_sequence(entry.last_seq)]).fetchall()
    merged = objects = 0
    for key, hour, count, late, on_time_merged, late_merged in rows:
        item = new.get(hour.astimezone(UTC))
        if item is None or item.key == key:
            continue
        gone_late = late - item.stragglers
        gone_on_time = count - late - (item.rows - item.stragglers)
        merged += gone_on_time * on_time_merged + gone_late * late_merged
        objects += 1
        values = [item.key, item.rows, item.bytes, item.stragglers, _moment(item.min_ts_ms), _moment(item.max_ts_ms)]
        connection.execute(_REPLACE, [*values, item.stragglers == item.rows, item.stragglers == 0, key])
        connection.execute("delete from ops.set_aside where key = %s", [key])
    if merged:
        connection.execute(_ERASED, {"objects": objects, "rows": merged})


def unmerged_hours(connection: psycopg.Connection) -> list[datetime]:
    """The arrival hours with an object whose on-time rows are not merged, in order."""
    query = "select distinct hour from ops.mergeable_object where on_time_merged is null order by hour"
    return [hour.astimezone(UTC) for (hour,) in connection.execute(query)]


def unmerged_on_time(connection: psycopg.Connection, hours: Sequence[datetime]) -> list[OpenObject]:
    """The objects of these arrival hours whose on-time rows are not merged."""
    rows = connection.execute(
        "select key, hour, rows - stragglers from ops.mergeable_object where on_time_merged is null and hour = any(%s)",
        [list(hours)],
    ).fetchall()
    return [OpenObject(key=key, hour=hour.astimezone(UTC), rows=count) for key, hour, count in rows]


class StragglerObject(msgspec.Struct, frozen=True):
    """An object whose stragglers are not merged. The range of event times is that of all its rows."""

    key: str
    hour: datetime
    rows: int
    stragglers: int
    min_ts: datetime
    max_ts: datetime
    committed_at: datetime


def unmerged_stragglers(connection: psycopg.Connection) -> list[StragglerObject]:
    """The objects whose stragglers are not merged, by key. Times are in UTC."""
    found = connection.execute(
        "select key, hour, rows, stragglers, min_ts, max_ts, committed_at from ops.mergeable_object"
        " where stragglers_merged is null order by key"
    ).fetchall()
    return [
        StragglerObject(key, hour.astimezone(UTC), rows, stragglers, *(moment.astimezone(UTC) for moment in moments))
        for key, hour, rows, stragglers, *moments in found
    ]


def mark_merged(
    connection: psycopg.Connection, kind: Kind, keys: Sequence[str], committed: datetime
) -> Mapping[str, int]:
    """Mark one kind of rows of these objects as merged. Returns those that were not marked before, with their rows.

    Their index goes with it: a filter of each object ever landed would outgrow the rest of the database.
    """
    column = _MARK[kind]
    rows = connection.execute(
        f"update ops.landing_object set {column} = %s, {_INDEX[kind]} = null"  # noqa: S608
        f" where key = any(%s) and {column} is null"
        f" returning key, {_ROWS[kind]}",
        [committed, list(keys)],
    ).fetchall()
    return dict(rows)


def lock_accounts(connection: psycopg.Connection) -> None:
    """Lock out other accounts of merges until the transaction ends."""
    connection.execute("select pg_advisory_xact_lock(hashtext('fleetlake.account'))")


def accounted_snapshots(connection: psycopg.Connection) -> set[int]:
    """The snapshots of history that ops.merge has."""
    return {snapshot_id for (snapshot_id,) in connection.execute("select snapshot_id from ops.merge")}


def add_merge(connection: psycopg.Connection, counts: MergeCounts, committed: datetime, sequence: int | None) -> None:
    """Record one merge commit in ops.merge. `sequence` is the snapshot's."""
    numbers = [counts.objects, counts.rows_read, counts.inserted, counts.duplicates]
    connection.execute(
        "insert into ops.merge (snapshot_id, kind, objects, rows_read, inserted, duplicates, committed_at, sequence)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s)",
        [counts.snapshot_id, counts.kind.value, *numbers, committed, sequence],
    )


def add_erasure(
    connection: psycopg.Connection, snapshot_id: int, rows: int, committed: datetime, sequence: int
) -> None:
    """Record that a commit of an erasure took so many rows out of history."""
    connection.execute(
        "insert into ops.merge (snapshot_id, kind, objects, rows_read, inserted, duplicates, committed_at, sequence)"
        " values (%s, 'erased', 0, 0, %s, %s, %s, %s)",
        [snapshot_id, -rows, rows, committed, sequence],
    )


class RecordedMerge(msgspec.Struct, frozen=True):
    """One row of ops.merge. `sequence` is None in rows of versions that did not record it."""

    snapshot_id: int
    kind: str
    committed_at: datetime
    sequence: int | None


def recorded_merges(connection: psycopg.Connection) -> list[RecordedMerge]:
    """The rows of ops.merge that are commits of merges."""
    rows = connection.execute(
        "select snapshot_id, kind, committed_at, sequence from ops.merge where kind <> 'erased'"
    ).fetchall()
    return [RecordedMerge(*row) for row in rows]


def forget_merge(connection: psycopg.Connection, snapshot_id: int, kind: Kind, committed: datetime) -> int:
    """Delete the row of a commit that history no longer has; its objects (how many is returned) are due again."""
    column = _MARK[kind]
    due = connection.execute(
        f"update ops.landing_object set {column} = null where {column} = %s and {_ROWS[kind]} > 0",  # noqa: S608
        [committed],
    )
    connection.execute("delete from ops.merge where snapshot_id = %s", [snapshot_id])
    return due.rowcount


def _moment(epoch_ms: int | None) -> datetime | None:
    return None if epoch_ms is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=epoch_ms)
