"""Which shards of the ledger may have entries that ops.landing_object lacks.

A stream that was resharded for years leaves hundreds of ended shards in the ledger, and to list them takes a request
each. So an ended shard whose every entry was taken in is marked complete and not asked again; the leases, one scan,
name the others. A full listing every LIST_EVERY finds what a lake that was away too long could miss: a shard whose
lease went with its stream's retention, a day at least after it ended.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import psycopg

from contracts.ledger import TRIM_HORIZON, LeaseRow
from contracts.names import padded_sequence
from lake.merge.ledger import leases, ledger_shards

LIST_EVERY = timedelta(hours=6)


def shards_to_read(connection: psycopg.Connection[Any], dynamodb: Any, region: str) -> list[str]:
    """The shards whose ledger entries have to be asked for, in order."""
    held = leases(dynamodb, region)
    cursors: dict[str, str] = {}
    complete: set[str] = set()
    for shard_id, last_seq, is_complete in connection.execute(_CURSORS).fetchall():
        cursors[shard_id] = last_seq
        if is_complete:
            complete.add(shard_id)
    due = {row.shard_id for row in held if not is_taken_in(row, cursors.get(row.shard_id, ""))}
    due |= cursors.keys() - complete - {row.shard_id for row in held}
    if listing_is_due(connection):
        due |= set(ledger_shards(dynamodb, region)) - complete
    return sorted(due)


def mark_complete(connection: psycopg.Connection[Any], held: Iterable[LeaseRow]) -> None:
    """Mark the ended shards of which every entry was taken in, and unmark those that a new stream uses again."""
    for row in held:
        connection.execute(_COMPLETE, [row.ended, padded_sequence(row.position), row.shard_id])


def mark_listed(connection: psycopg.Connection[Any]) -> None:
    """Record that every shard of the ledger was listed and taken in just now."""
    connection.execute("insert into ops.ledger_listing (listed_at) values (now())")
    connection.execute("delete from ops.ledger_listing where listed_at < now() - interval '7 days'")


def is_taken_in(row: LeaseRow, cursor: str) -> bool:
    """Whether the lease's shard has ended and everything that was committed of it is in ops.landing_object."""
    return row.ended and (row.position == TRIM_HORIZON or cursor >= padded_sequence(row.position))


def listing_is_due(connection: psycopg.Connection[Any]) -> bool:
    """Whether the last full listing is older than LIST_EVERY."""
    row = connection.execute("select max(listed_at) > now() - %s from ops.ledger_listing", [LIST_EVERY]).fetchone()
    return not (row and row[0])


_CURSORS = "select shard_id, last_seq, complete from ops.landing_cursor"
_COMPLETE = "update ops.landing_cursor set complete = %s and last_seq >= %s where shard_id = %s"
