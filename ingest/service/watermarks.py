"""The copy of the leases' watermarks in Postgres, for people; DynamoDB holds the truth."""

from collections.abc import Sequence

import psycopg
import structlog

from contracts.ledger import LeaseRow

_log = structlog.get_logger()
_UPSERT = """
    insert into ops.watermarks (shard_id, position, watermark, ended, updated_at)
    values (%s, %s, to_timestamp(%s / 1000.0), %s, now())
    on conflict (shard_id) do update set position = excluded.position, ended = excluded.ended,
        watermark = greatest(ops.watermarks.watermark, excluded.watermark), updated_at = now()
"""


def copy_watermarks(dsn: str, rows: Sequence[LeaseRow]) -> bool:
    """Write the rows to ops.watermarks and forget shards that are gone; False, and a warning, where that failed.

    Best effort: nothing that counts reads this table. A lock on it is waited for a second, a statement for three.
    """
    if not rows:
        return True
    try:
        with psycopg.connect(dsn, connect_timeout=3) as connection, connection.cursor() as cursor:
            cursor.execute("set local lock_timeout = '1s'; set local statement_timeout = '3s'")
            values = [(row.shard_id, row.position, row.watermark_ms, row.ended) for row in rows]
            cursor.executemany(_UPSERT, values)
            gone = "delete from ops.watermarks where not (shard_id = any(%s))"
            cursor.execute(gone, ([row.shard_id for row in rows],))
    except psycopg.Error as error:
        _log.warning("watermarks.not_copied", error=type(error).__name__)
        return False
    return True
