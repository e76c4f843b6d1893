"""Takes the ledger's landed objects into ops.landing_object, and says which merges are due."""

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import msgspec
import psycopg

from contracts.ledger import LANDED
from contracts.settings import LakeSettings, RegionSettings
from lake.database import transaction
from lake.merge.device_index import index_devices
from lake.merge.ledger import entries_after, leases, leases_watermark
from lake.merge.progress import add_objects, lock_cursor, move_cursor, unmerged_hours
from lake.merge.set_aside import take_up_mended
from lake.merge.shards import listing_is_due, mark_complete, mark_listed, shards_to_read
from lake.merge.stragglers import due_objects

_HOUR = timedelta(hours=1)


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


def intake(settings: LakeSettings) -> int:
    """Copy ledger entries after each shard's cursor into ops.landing_object; the number of objects that are new.

    The cursor moves in the same transaction, so an entry is taken once, whatever is killed. Shards that have ended
    are read until they are taken in. Objects that were set aside and are mended are taken up again, and count.
    """
    client = _dynamodb(settings)
    taken = take_up_mended(settings)
    with transaction(settings) as connection:
        listed = listing_is_due(connection)
        shards = shards_to_read(connection, client, settings.region)
    for shard_id in shards:
        with transaction(settings) as connection:
            taken += _take_shard(connection, client, settings.region, shard_id)
    with transaction(settings) as connection:
        mark_complete(connection, leases(client, settings.region))
        if listed:
            mark_listed(connection)
    index_devices(settings)
    return taken


def watermark(settings: LakeSettings) -> datetime | None:
    """The region's watermark: every record that arrived before it has landed and is in ops.landing_object.

    Reads the leases first and takes in the ledger afterwards, so that no entry which moved the watermark is missing.
    ops.watermarks is not read: it is a copy for people, and stays behind where no consumer runs. None while nothing
    was consumed.
    """
    reached = leases_watermark(_dynamodb(settings), settings.region)
    intake(settings)
    return reached


def due_merges(settings: RegionSettings, now: datetime | None = None, *, open_hours: bool = False) -> DueMerges:
    """Which merges are due, by what intake has taken in. `now` is the clock's time unless given.

    An hour is due once the watermark has passed its end, while it has an object whose on-time rows are not merged: so
    it costs one commit however often the consumer flushed. Stragglers are due by the rules of lake.merge.stragglers,
    once one of their arrival hours has ended. open_hours: what arrived in hours that still grow is due as well.
    """
    reached = leases_watermark(_dynamodb(settings), settings.region)
    with transaction(settings) as connection:
        hours = unmerged_hours(connection)
        late = sorted({item.hour for item in due_objects(connection, settings, now or datetime.now(UTC), reached)})
    if open_hours or settings.merge_open_hours:
        return DueMerges(hours=hours, straggler_hours=late)
    return DueMerges(hours=_closed(hours, reached), straggler_hours=_closed(late, reached))


def _closed(hours: list[datetime], watermark: datetime | None) -> list[datetime]:
    """Those in which nothing more will arrive."""
    return [hour for hour in hours if watermark is not None and hour + _HOUR <= watermark]


def _dynamodb(settings: LakeSettings) -> Any:
    return boto3.client("dynamodb", **settings.dynamodb.client_kwargs(settings.row.aws_region))


def _take_shard(connection: psycopg.Connection, client: Any, region: str, shard_id: str) -> int:
    taken, last = 0, None
    for entry in entries_after(client, region, shard_id, lock_cursor(connection, shard_id)):
        landed = [item for item in entry.objects if item.kind == LANDED]
        add_objects(connection, entry, landed)
        taken, last = taken + len(landed), entry.last_seq
    if last is not None:
        move_cursor(connection, shard_id, last)
    return taken
