"""Devices on the suppression list are left out of merges: a restored landing object does not bring them back.

Landing holds none of theirs: consumers leave them out, and an erasure rewrites what was there. Where the bucket and the
ledger come from a backup that is older than an erasure, this is what stands between it and history. A job on a cluster
has no key of the region and does not look; reconciliation and a second erasure find what it took in.
"""

from typing import TYPE_CHECKING

import psycopg

from contracts.pseudonyms import SUPPRESSION, key_for, keyed_hash
from contracts.settings import LakeSettings, RegionSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_LIST = """
    select device_hmac, coalesce(from_ts, '0001-01-02'), coalesce(to_ts, '9999-12-30')
    from privacy.suppression where lifted_at is null
"""


def accepted(rows: "DataFrame", settings: LakeSettings) -> "DataFrame":
    """The rows without those on the region's suppression list; all of them where nobody is on it."""
    if not isinstance(settings, RegionSettings):
        return rows
    with psycopg.connect(settings.privacy_dsn.get_secret_value(), connect_timeout=10) as connection:
        listed: dict[bytes, list[tuple[object, object]]] = {}
        for device, start, end in connection.execute(_LIST).fetchall():
            listed.setdefault(bytes(device), []).append((start, end))
    if not listed:
        return rows
    key = key_for(settings.release_key, SUPPRESSION)
    devices = [row["device_id"] for row in rows.select("device_id").distinct().collect()]
    out = [(one, *span) for one in devices for span in listed.get(keyed_hash(key, one), ())]
    if not out:
        return rows
    spark = rows.sparkSession
    spans = spark.createDataFrame(out, "device_id string, since timestamp, until timestamp")
    meant = (rows.device_id == spans.device_id) & (rows.ts >= spans.since) & (rows.ts < spans.until)
    return rows.join(spans.hint("broadcast"), meant, "left_anti")
