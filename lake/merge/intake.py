"""Takes the ledger's landed objects into ops.landing_object, and says which merges are due."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import msgspec
import psycopg

from contracts.ledger import LANDED, LandedObject, LeaseRow, LedgerEntry, hour_of, lease_row
from contracts.names import leases_table, padded_sequence
from contracts.settings import RegionSettings
from lake.database import transaction
from lake.merge.ledger import entries_after, ledger_shards
from lake.merge.stragglers import due_objects


class DueMerges(msgspec.Struct, frozen=True):
    """What is worth a run: arrival hours with records not yet merged, and those whose waiting stragglers are due."""

    hours: list[datetime]
    straggler_hours: list[datetime]

    @property
    def stragglers(self) -> bool:
        """Whether any stragglers are due."""
        return bool(self.straggler_hours)

    def __bool__(self) -> bool:
        return bool(self.hours) or self.stragglers


def intake(settings: RegionSettings) -> int:
    """Copy ledger entries after each shard's cursor into ops.landing_object; the number of objects that are new.

    The cursor moves in the same transaction, so that an entry is taken once whatever is killed; shards that have
    ended are read too, however long ago. ops.watermarks becomes a copy of the leases.
    """
    client = boto3.client("dynamodb", **settings.dynamodb.client_kwargs(settings.row.aws_region))
    leases = list(_leases(client, settings.region))
    taken = 0
    for shard_id in ledger_shards(client, settings.region):
        with transaction(settings) as connection:
            taken += _take_shard(connection, client, settings.region, shard_id)
    with transaction(settings) as connection:
        _copy_watermarks(connection, leases)
    return taken


def due_merges(settings: RegionSettings, now: datetime | None = None) -> DueMerges:
    """Which merges are due, by what intake has taken in. `now` is the clock's time unless given.

    An hour is due while it has an object whose on-time rows are not merged. For stragglers see
    lake.merge.stragglers.
    """
    with transaction(settings) as connection:
        rows = connection.execute(
            "select distinct hour from ops.landing_object where on_time_merged is null order by hour"
        ).fetchall()
        late = {item.hour for item in due_objects(connection, settings, now or datetime.now(UTC))}
    return DueMerges(hours=[hour.astimezone(UTC) for (hour,) in rows], straggler_hours=sorted(late))


def _leases(client: Any, region: str) -> Iterator[LeaseRow]:
    for page in client.get_paginator("scan").paginate(TableName=leases_table(region), ConsistentRead=True):
        yield from map(lease_row, page["Items"])


def _take_shard(connection: psycopg.Connection, client: Any, region: str, shard_id: str) -> int:
    connection.execute("select pg_advisory_xact_lock(hashtext('fleetlake.intake'), hashtext(%s))", [shard_id])
    row = connection.execute("select last_seq from ops.landing_cursor where shard_id = %s", [shard_id]).fetchone()
    taken, last = 0, None
    for entry in entries_after(client, region, shard_id, row[0] if row else ""):
        landed = [item for item in entry.objects if item.kind == LANDED]
        _insert(connection, entry, landed)
        taken, last = taken + len(landed), padded_sequence(entry.last_seq)
    if last is not None:
        connection.execute(
            "insert into ops.landing_cursor values (%s, %s)"
            " on conflict (shard_id) do update set last_seq = excluded.last_seq",
            [shard_id, last],
        )
    return taken


def _insert(connection: psycopg.Connection, entry: LedgerEntry, objects: list[LandedObject]) -> None:
    """An object without on-time rows, or without stragglers, has nothing to wait for on that side."""
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


def _copy_watermarks(connection: psycopg.Connection, leases: list[LeaseRow]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.watermarks (shard_id, position, watermark, ended) values (%s, %s, %s, %s)"
            " on conflict (shard_id) do update set position = excluded.position, watermark = excluded.watermark,"
            " ended = excluded.ended, updated_at = now()",
            [(row.shard_id, row.position, _moment(row.watermark_ms), row.ended) for row in leases],
        )


def _moment(epoch_ms: int | None) -> datetime | None:
    return None if epoch_ms is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=epoch_ms)
