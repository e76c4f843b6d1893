"""Records of some devices in a range of time, from history, uncompacted landing and live state together."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from time import monotonic, perf_counter

import boto3
import pyarrow as pa
import redis
from botocore.config import Config
from redis.backoff import NoBackoff
from redis.retry import Retry

from contracts.errors import Misuse, StoreUnavailable, TooMuchToRead
from contracts.outages import POSTGRES, REDIS
from contracts.record import NULLABLE_LANDING_SCHEMA
from contracts.settings import RegionSettings
from lake.stores import away
from lake.trail.counted_files import Account, object_store
from lake.trail.cursor import Place, cursor_of, place_of
from lake.trail.from_history import HistoryPlan, HistoryTable
from lake.trail.from_live import live_rows
from lake.trail.listing import OpenObjects
from lake.trail.model import Trail
from lake.trail.pages import begin_of, behind, cut, first_start
from lake.trail.postgres import Postgres
from lake.trail.reading import Reading
from lake.trail.slices import Slices
from lake.trail.union import SOURCE, told_apart
from lake.trail.wanted import Wanted

_LIVE_WITHIN_S = 3.0
_CONNECT_S = 5
_RESTRICTED = "select device_id from registry.restriction where device_id = any(%s)"
READERS = 16
"""Objects fetched at once: a spot query waits for the network, not for the processor."""
MOST_AT_ONCE = 8
"""Queries answered at once; more wait."""
_MIB = 2**20


class SpotQuery:
    """Answers spot queries of one region over connections that it keeps. Safe to share between threads.

    Promises
    - Every record that the region's stores hold for the devices and range is in the answer, once, also while records
      move from live state to landing and from landing to history during the query: the stores are asked in the
      order in which records travel.
    - Pages, each asked for with the cursor of the one before, give each record that was there when the first was asked
      for, once, whatever merges, rewrites and arrivals happen between them. A record that arrives behind the cursor
      meanwhile is in none of them.
    - A row that a delete file removed from history is not in the answer.
    - Nothing of a device whose processing is restricted (GDPR Art. 18) is in the answer, which says how many such
      devices there are in `restricted`.
    - Without Redis the answer is what has landed, and says so in `missing`.
    - No object is opened that partition, bucket, minimum and maximum event time, or its index of devices exclude.
    - A query that would read more than `trail_max_mib` ends with TooMuchToRead before it reads rows; a page ends
      early instead, with a cursor.
    - A store that is silent for `store_timeout_s` ends a query with StoreUnavailable, which names it.
    """

    def __init__(self, settings: RegionSettings, *, restricted_too: bool = False) -> None:
        """restricted_too: for the data subject, whose right of access a restriction does not touch."""
        self._settings, self._restricted_too = settings, restricted_too
        self._store = object_store(settings)
        self._postgres = Postgres(settings)
        self._history = HistoryTable(settings, self._store, self._postgres)
        # It is asked twice at most, and the rest of the answer needs its part of the stores' time.
        live_within_s = min(_LIVE_WITHIN_S, settings.store_timeout_s / 4)
        self._redis = redis.Redis.from_url(
            settings.redis_url.get_secret_value(),
            socket_timeout=live_within_s,
            socket_connect_timeout=live_within_s,
            retry=Retry(NoBackoff(), 1),
        )
        self._dynamodb = boto3.Session().client(
            "dynamodb",
            config=Config(
                max_pool_connections=READERS,
                connect_timeout=_CONNECT_S,
                read_timeout=settings.store_timeout_s,
                retries={"total_max_attempts": 3},
            ),
            **settings.dynamodb.client_kwargs(settings.row.aws_region),
        )
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="trail")
        self._objects = OpenObjects(settings, self._postgres, self._dynamodb, self._pool)
        self._turns = threading.BoundedSemaphore(MOST_AT_ONCE)

    def close(self) -> None:
        """Give the connections back."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._postgres.close()
        self._redis.close()
        self._dynamodb.close()

    def trail(self, device_id: str, start: datetime, end: datetime) -> Trail:
        """One device's records with start <= ts < end (both with an offset), sorted by ts."""
        return self.trails([device_id], start, end)

    def trails(
        self,
        devices: Iterable[str],
        start: datetime,
        end: datetime,
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> Trail:
        """Records of at most 100 devices with start <= ts < end, sorted by device and ts.

        after: a cursor that a page of the same devices and range gave. limit: at most so many records, and `next` as
        the cursor of those that follow; a few more where records of one moment may not be parted.
        Raises Misuse, BadCursor, TooMuchToRead, StoreUnavailable.
        """
        wanted = Wanted.of(devices, start, end)
        place = None if after is None else place_of(after)
        if limit is not None and limit < 1:
            raise Misuse(f"a page of {limit} records; ask for 1 or more")
        return self._in_time(lambda account: self._answer(wanted, place, limit, account))

    def _answer(self, wanted: Wanted, place: Place | None, limit: int | None, account: Account) -> Trail:
        began = perf_counter()
        account.asks(POSTGRES)
        hidden = frozenset[str]() if self._restricted_too else self._restricted(wanted)
        left, first = first_start(wanted.without(hidden), place)
        rows, following, unreadable = _none(), None, 0
        missing: tuple[str, ...] = ()
        if left.devices:
            account.asks(REDIS)
            live, missing = self._live(left)
            landing, unreadable = self._objects.listed(left, account)
            account.asks(POSTGRES)
            history = HistoryPlan(self._history, left, account)
            most = self._settings.trail_max_mib * _MIB
            reading = Reading(self._store, self._pool, account, most, live, landing, history)
            rows, following = _page(reading, Slices(left, first, whole=limit is None), place, limit)
            unreadable += len(reading.unreadable)
        records, sources = told_apart(rows)
        return Trail(
            devices=wanted.devices,
            start=wanted.start,
            end=wanted.end,
            records=records,
            sources=sources,
            files_read=account.files,
            bytes_read=account.bytes,
            seconds=perf_counter() - began,
            missing=missing,
            unreadable=unreadable,
            restricted=len(hidden),
            next=None if following is None else cursor_of(following),
        )

    def _restricted(self, wanted: Wanted) -> frozenset[str]:
        rows = self._postgres.ask(lambda to: to.execute(_RESTRICTED, [list(wanted.devices)]).fetchall())
        return frozenset(device for (device,) in rows)

    def _live(self, wanted: Wanted) -> tuple[pa.Table, tuple[str, ...]]:
        """What Redis holds, and Redis itself where it does not answer: landing and history have all that landed."""
        try:
            return live_rows(self._redis, self._settings.region, wanted), ()
        except (redis.ConnectionError, redis.TimeoutError):
            return NULLABLE_LANDING_SCHEMA.empty_table(), (REDIS,)

    def _in_time(self, answer: Callable[[Account], Trail]) -> Trail:
        """The answer, made in a thread of its own: not every client ends a call to a store that hangs."""
        account, done = Account(), Future[Trail]()
        if not self._turns.acquire(timeout=self._settings.store_timeout_s):
            raise StoreUnavailable(f"{MOST_AT_ONCE} queries of region {self._settings.region} are under way; ask later")

        def work() -> None:
            try:
                done.set_result(answer(account))
            except BaseException as error:  # noqa: BLE001 - it is raised in the thread that asked
                done.set_exception(error)
            finally:
                self._turns.release()

        threading.Thread(target=work, name="spot query", daemon=True).start()
        while not done.done():
            left_s = account.heard_s + self._settings.store_timeout_s - monotonic()
            if left_s <= 0:
                account.given_up = True
                silent = away(self._settings) or f"{account.store} of region {self._settings.region}"
                raise StoreUnavailable(f"{silent} does not answer, for {self._settings.store_timeout_s:.0f} s so far")
            _wait(done, min(left_s, self._settings.store_timeout_s))
        return done.result()


@contextmanager
def spot_query(settings: RegionSettings, *, restricted_too: bool = False) -> Iterator[SpotQuery]:
    """A SpotQuery that is closed at the end."""
    query = SpotQuery(settings, restricted_too=restricted_too)
    try:
        yield query
    finally:
        query.close()


def trail(settings: RegionSettings, device_id: str, start: datetime, end: datetime) -> Trail:
    """One spot query over connections of its own: the device's records with start <= ts < end."""
    with spot_query(settings) as query:
        return query.trail(device_id, start, end)


def _page(reading: Reading, slices: Slices, place: Place | None, limit: int | None) -> tuple[pa.Table, Place | None]:
    """Rows behind the place, as many as are wanted, and where the next page goes on."""
    found, count = [_none()], 0
    while not slices.done:
        part = slices.next()
        try:
            rows = reading.rows(part)
        except TooMuchToRead:
            if slices.shrink():
                continue
            if limit is None or not slices.moved:
                raise
            return pa.concat_tables(found), begin_of(part)
        found.append(rows if place is None else behind(rows, place))
        count += found[-1].num_rows
        slices.passed(part)
        if limit is not None and count > limit:
            page, behind_it = cut(pa.concat_tables(found), limit)
            if page.num_rows < count:
                return page, behind_it
        slices.grow()
    return pa.concat_tables(found), None


def _none() -> pa.Table:
    return NULLABLE_LANDING_SCHEMA.empty_table().append_column(SOURCE, pa.array([], pa.int8()))


def _wait(done: "Future[Trail]", seconds: float) -> None:
    try:
        done.exception(timeout=seconds)
    except TimeoutError:
        return
