"""One device's records of a time range, from history, uncompacted landing and live state together."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from time import perf_counter
from typing import Any

import boto3
import psycopg
import pyarrow as pa
import redis
from botocore.config import Config
from redis.backoff import NoBackoff
from redis.retry import Retry

from contracts.outages import REDIS
from contracts.record import LANDING_SCHEMA, NULLABLE_LANDING_SCHEMA
from contracts.settings import RegionSettings
from lake.iceberg.catalog import catalog
from lake.trail.counted_files import Account, object_store
from lake.trail.from_history import history_rows
from lake.trail.from_live import live_rows
from lake.trail.listing import open_objects
from lake.trail.model import Trail
from lake.trail.parquet_rows import Wanted, device_rows, in_landing_schema
from lake.trail.union import union

_LIVE_WITHIN_S = 3.0
READERS = 16
"""Objects fetched at once: a spot query waits for the network, not for the processor."""


class SpotQuery:
    """Answers spot queries of one region over connections that it keeps.

    Promises
    - Every record that the region's stores hold for the device and range is in the answer, once, also while records
      move from live state to landing and from landing to history during the query: the stores are asked in the
      order in which records travel.
    - A row that a delete file removed from history is not in the answer.
    - Without Redis the answer is what has landed, and says so in `missing`.
    - No object is opened that partition, bucket, or minimum and maximum event time exclude.

    Not to be shared between threads; make one each.
    """

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings
        self._store = object_store(settings)
        self._catalog = catalog(settings)
        self._dynamodb = boto3.client(
            "dynamodb",
            config=Config(max_pool_connections=READERS),
            **settings.dynamodb.client_kwargs(settings.row.aws_region),
        )
        self._postgres = psycopg.connect(settings.postgres_dsn.get_secret_value(), autocommit=True)
        self._redis = redis.Redis.from_url(
            settings.redis_url.get_secret_value(),
            socket_timeout=_LIVE_WITHIN_S,
            socket_connect_timeout=_LIVE_WITHIN_S,
            retry=Retry(NoBackoff(), 1),
        )
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="trail")

    def close(self) -> None:
        """Give the connections back."""
        self._pool.shutdown(cancel_futures=True)
        self._postgres.close()
        self._redis.close()
        self._dynamodb.close()

    def trail(self, device_id: str, start: datetime, end: datetime) -> Trail:
        """The device's records with start <= ts < end (both with an offset), sorted by ts."""
        began = perf_counter()
        wanted = Wanted(device_id, start, end)
        account = Account()
        live, missing = self._live(wanted)
        landing = self._landing(wanted, account)
        history = history_rows(self._catalog, self._store, wanted, account, self._pool)
        records, sources = union(_gather(history), _gather(landing), live)
        return Trail(
            device_id=device_id,
            start=start,
            end=end,
            records=records,
            sources=sources,
            files_read=account.files,
            bytes_read=account.bytes,
            seconds=perf_counter() - began,
            missing=missing,
        )

    def _live(self, wanted: Wanted) -> tuple[pa.Table, tuple[str, ...]]:
        """What Redis holds, and Redis itself where it does not answer: landing and history have all that landed."""
        try:
            return live_rows(self._redis, self._settings.region, wanted), ()
        except (redis.ConnectionError, redis.TimeoutError):
            return NULLABLE_LANDING_SCHEMA.empty_table(), (REDIS,)

    def _landing(self, wanted: Wanted, account: Account) -> list[Future[pa.Table]]:
        keys = open_objects(self._settings, self._postgres, self._dynamodb, wanted, self._pool)
        prefix = self._settings.bucket
        return [self._pool.submit(device_rows, self._store, f"{prefix}/{key}", wanted, account) for key in keys]


@contextmanager
def spot_query(settings: RegionSettings) -> Iterator[SpotQuery]:
    """A SpotQuery that is closed at the end."""
    query = SpotQuery(settings)
    try:
        yield query
    finally:
        query.close()


def trail(settings: RegionSettings, device_id: str, start: datetime, end: datetime) -> Trail:
    """One spot query over connections of its own: the device's records with start <= ts < end."""
    with spot_query(settings) as query:
        return query.trail(device_id, start, end)


def _gather(reads: list[Future[Any]]) -> pa.Table:
    parts = [read.result() for read in reads]
    return pa.concat_tables(
        [part for part in parts if part.num_rows] or [in_landing_schema(LANDING_SCHEMA.empty_table())]
    )
