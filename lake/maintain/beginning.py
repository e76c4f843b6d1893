"""ops.ledger_beginning: up to where a shard's ledger is kept as sums, and what Postgres says of what comes after."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import psycopg

from contracts.ledger import LANDED, LedgerEntry
from contracts.names import LEDGER_LOCK, padded_sequence
from contracts.settings import LakeSettings
from lake.database import transaction

_MOVE = """
    insert into ops.ledger_beginning as b (shard_id, last_seq, entries, user_records, landed, rejected, suppressed)
    values (%s, %s, %s, %s, %s, %s, %s)
    on conflict (shard_id) do update set last_seq = excluded.last_seq, entries = b.entries + excluded.entries,
        user_records = b.user_records + excluded.user_records, landed = b.landed + excluded.landed,
        rejected = b.rejected + excluded.rejected, suppressed = b.suppressed + excluded.suppressed, moved_at = now()
    where b.last_seq < excluded.last_seq
"""


@contextmanager
def sole_pruning(settings: LakeSettings) -> Iterator[psycopg.Connection[Any] | None]:
    """A connection on which this process alone moves beginnings; None while another does, or a reconciliation runs."""
    with transaction(settings) as connection:
        connection.autocommit = True
        found = connection.execute("select pg_try_advisory_lock(hashtext(%s))", [LEDGER_LOCK]).fetchone()
        if not (found and found[0]):
            yield None
            return
        try:
            yield connection
        finally:
            with suppress(psycopg.Error):  # the server may notice a closed connection a moment later
                connection.execute("select pg_advisory_unlock(hashtext(%s))", [LEDGER_LOCK])


def proven_until(connection: psycopg.Connection[Any]) -> datetime | None:
    """When the newest reconciliation began that found everything in agreement; None where there is none."""
    found = connection.execute("select max(began_at) from ops.reconciliation where ok").fetchone()
    return found[0] if found else None


def beginnings(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """The last sequence number, in 56 digits, of each shard's beginning."""
    return dict(connection.execute("select shard_id, last_seq from ops.ledger_beginning").fetchall())


def merged_at(connection: psycopg.Connection[Any], entries: Iterable[LedgerEntry]) -> dict[str, datetime | None]:
    """When the last rows of each landed object of these entries were merged; None while some are not."""
    keys = [item.key for entry in entries for item in entry.objects if item.kind == LANDED]
    query = """select key, case when on_time_merged is null or stragglers_merged is null then null
        else greatest(on_time_merged, stragglers_merged) end from ops.landing_object where key = any(%s)"""
    return dict.fromkeys(keys) | dict(connection.execute(query, [keys]).fetchall())


def move_beginning(connection: psycopg.Connection[Any], entries: Sequence[LedgerEntry]) -> None:
    """Keep these entries of one shard, which follow its beginning, as sums from now on."""
    objects = [item for entry in entries for item in entry.objects]
    landed = sum(item.rows for item in objects if item.kind == LANDED)
    sums = [len(entries), sum(entry.user_records for entry in entries), landed]
    # Erased records are in no object any more: they count as suppressed.
    suppressed = sum(entry.suppressed + entry.erased for entry in entries)
    sums += [sum(item.rows for item in objects) - landed, suppressed]
    connection.execute(_MOVE, [entries[0].shard_id, padded_sequence(entries[-1].last_seq), *sums])


def forget_objects(connection: psycopg.Connection[Any], entries: Iterable[LedgerEntry]) -> None:
    """Remove the rows of these entries' landed objects."""
    keys = [item.key for entry in entries for item in entry.objects if item.kind == LANDED]
    connection.execute("delete from ops.landing_object where key = any(%s)", [keys])
