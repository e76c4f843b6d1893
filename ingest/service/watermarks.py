"""The one writer of ops.watermarks: the copy of the leases' watermarks that Postgres has.

DynamoDB holds the truth, and this copy may lag behind it. Stragglers and the completeness of hours go by the smallest
watermark here, so neither a slow worker nor two that copy at once may take anything back.
"""

import time
from collections.abc import Sequence

import psycopg
import structlog

from contracts.ledger import LeaseRow

_OLDEST_ROWS_S = 30.0
"""Rows read longer ago are not copied: they may name a shard that has been removed since."""
_log = structlog.get_logger()
_ONE_AT_A_TIME = "select pg_advisory_xact_lock(hashtext('fleetlake.watermarks'))"
_UPSERT = """
    insert into ops.watermarks as known (shard_id, position, watermark, ended, updated_at)
    values (%(shard)s, %(position)s, to_timestamp(%(watermark_ms)s / 1000.0), %(ended)s, %(read_at)s)
    on conflict (shard_id) do update set
        position = case when (length(excluded.position), excluded.position) > (length(known.position), known.position)
            then excluded.position else known.position end,
        watermark = greatest(known.watermark, excluded.watermark),
        ended = known.ended or excluded.ended,
        updated_at = greatest(known.updated_at, excluded.updated_at)
"""
_DELETE = """
    delete from ops.watermarks
    where not (shard_id = any(%(shards)s)) and updated_at < %(read_at)s::timestamptz - interval '1 minute'
"""


def copy_watermarks(dsn: str, rows: Sequence[LeaseRow], *, age_s: float = 0.0) -> bool:
    """Copy the lease rows to ops.watermarks; False, and a warning, where that failed.

    age_s: for how long the rows have been read, at least since their request was sent.

    Promises, whatever the order in which several workers copy and however old their rows are
    - A watermark and a position never go backwards, and an ended shard stays ended.
    - A shard is deleted only where these rows lack it and no worker has read it for a minute: a shard that another
      worker has just found stays. `updated_at` is when its newest rows were read, on Postgres' clock.
    - A lock is waited for one second at most, a statement three seconds.
    """
    if not rows:
        return True
    started_s = time.monotonic() - age_s
    try:
        with psycopg.connect(dsn, connect_timeout=3) as connection, connection.cursor() as cursor:
            cursor.execute("set local lock_timeout = '1s'; set local statement_timeout = '3s'")
            cursor.execute(_ONE_AT_A_TIME)
            age_s = time.monotonic() - started_s
            if age_s > _OLDEST_ROWS_S:
                _log.warning("watermarks.not_copied", error="rows too old", age_s=round(age_s))
                return False
            cursor.execute("select clock_timestamp() - make_interval(secs => %s)", (age_s,))
            (read_at,) = cursor.fetchone() or (None,)
            cursor.executemany(_UPSERT, [_values(row) | {"read_at": read_at} for row in rows])
            cursor.execute(_DELETE, {"shards": [row.shard_id for row in rows], "read_at": read_at})
    except psycopg.Error as error:
        _log.warning("watermarks.not_copied", error=type(error).__name__)
        return False
    return True


def _values(row: LeaseRow) -> dict[str, object]:
    return {
        "shard": row.shard_id,
        "position": row.position,
        "watermark_ms": row.watermark_ms,
        "ended": row.ended,
    }
