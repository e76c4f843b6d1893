"""Which landing objects a spot query has to look into: listed by the ledger and not wholly in history."""

from concurrent.futures import Executor
from datetime import UTC, datetime
from typing import Any

import psycopg

from contracts.ledger import LANDED
from contracts.settings import RegionSettings
from lake.merge.ledger import entries_after
from lake.merge.shards import shards_to_read
from lake.merge.straggler_index import may_hold
from lake.trail.parquet_rows import Wanted

_OPEN = """
select key, case when on_time_merged is not null then straggler_devices end from ops.landing_object
where (on_time_merged is null or stragglers_merged is null)
  and (min_ts is null or min_ts < %(end)s) and (max_ts is null or max_ts >= %(start)s)
"""
_CURSORS = "select shard_id, last_seq from ops.landing_cursor"


def open_objects(
    settings: RegionSettings,
    postgres: psycopg.Connection[Any],
    dynamodb: Any,
    wanted: Wanted,
    pool: Executor,
) -> list[str]:
    """Keys of the landing objects that may hold wanted rows which history lacks.

    Those that `ops.landing_object` has as not wholly merged, and those of ledger entries after its cursor. Where only
    an object's stragglers wait, its index says whether they may be of the device. The
    ledger is asked before the table, so that an object which moves from one to the other meanwhile is not missed.
    """
    cursors = dict(postgres.execute(_CURSORS).fetchall())
    shards = shards_to_read(postgres, dynamodb, settings.region)

    def after_cursor(shard: str) -> list[str]:
        return _after_cursor(settings, dynamodb, shard, cursors.get(shard, ""), wanted)

    newer = {key for keys in pool.map(after_cursor, shards) for key in keys}
    rows = postgres.execute(_OPEN, {"start": wanted.start, "end": wanted.end}).fetchall()
    return sorted(newer | {key for key, devices in rows if devices is None or may_hold(devices, wanted.device_id)})


def _after_cursor(settings: RegionSettings, dynamodb: Any, shard: str, last_seq: str, wanted: Wanted) -> list[str]:
    return [
        landed.key
        for entry in entries_after(dynamodb, settings.region, shard, last_seq)
        for landed in entry.objects
        if landed.kind == LANDED and _overlaps(landed.min_ts_ms, landed.max_ts_ms, wanted)
    ]


def _overlaps(min_ts_ms: int | None, max_ts_ms: int | None, wanted: Wanted) -> bool:
    after_start = max_ts_ms is None or _utc(max_ts_ms) >= wanted.start
    return after_start and (min_ts_ms is None or _utc(min_ts_ms) < wanted.end)


def _utc(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
