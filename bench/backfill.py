"""Months at once: records of 25 days land as a replay lands them, and are merged, derived and reconciled.

The peer is plain Spark on a session of the same size: the same landing objects, one row for each identity, written as
one Iceberg table of the same layout; then trips and device days by window functions over that table.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import NamedTuple

import psutil
from pyspark.sql import Column, Window
from pyspark.sql import functions as fn
from pyspark.sql.pandas.types import from_arrow_schema

import stack
from bench.landed import telemetry
from bench.one_region import REGION, stack_of_one_region
from bench.rows import Row
from contracts.identity import IDENTITY
from contracts.logs import log_of_a_command
from contracts.names import DEVICE_DAY_TABLE
from contracts.record import LANDING_SCHEMA
from contracts.settings import RegionSettings
from lake.derive.changed_days import harvest
from lake.derive.job import derive_days
from lake.derive.progress import due_days
from lake.iceberg.partitions import total_rows
from lake.iceberg.tables import ensure_tables, history, table
from lake.jobs import DeriveDays, MergeLanding
from lake.merge.intake import intake
from lake.merge.job import merge_landing
from lake.spark.session import spark_session
from lake.spark.size import LARGE_ROWS, is_large
from reconcile import reconcile
from tests.builders.lake import Landing

ROWS = int(os.environ.get("FLEETLAKE_BENCH_BACKFILL_ROWS", "10000000"))
DEVICES = int(os.environ.get("FLEETLAKE_BENCH_BACKFILL_DEVICES", "500"))
DAYS = int(os.environ.get("FLEETLAKE_BENCH_BACKFILL_DAYS", "25"))
FIRST = datetime(2026, 9, 1, tzinfo=UTC)
AT_ONCE = 50
"""Devices of an object: each has all their records of a day."""
PLAIN = f"{REGION}.history.plain"


class Part(NamedTuple):
    """What one part took. Its seconds begin once Spark has started."""

    seconds: float
    peak_mib: float


class Done(NamedTuple):
    """What some days took from landing to proof."""

    rows: int
    merge: Part
    derive: Part
    proof: Part


def run() -> list[Row]:
    """Seconds; ratio is over plain Spark's, or the merge's."""
    with stack_of_one_region() as state:
        settings = RegionSettings.load(stack.region_environment(state, REGION))
        ensure_tables(settings)
        landing = Landing(settings)
        done = work_through(landing, range(DAYS))
        plain_merge, plain_derive = _apart(_merge_plainly, settings), _apart(_derive_plainly, settings)
        later = work_through(landing, range(DAYS, DAYS + 1))
    most_mib = max(part.peak_mib for part in (done.merge, done.derive, done.proof))
    merge, derive, proof = done.merge, done.derive, done.proof
    new = f"reconciliation when {later.rows:,} rows of one day more were merged"
    return [
        _row("merge_vs_spark", f"merge of {done.rows:,} rows of {DAYS} days", merge, "plain Spark", plain_merge),
        _row("derive_vs_spark", "derivation of their trips and days", derive, "plain Spark", plain_derive),
        _row("reconcile_vs_merge", "reconciliation of the whole", proof, "the merge", merge),
        _row("reconcile_new_vs_whole", new, later.proof, "of the whole", proof),
        Row(id="peak_mib", what="most memory of the three, Python's workers among it", value=most_mib, unit="MiB"),
    ]


def work_through(landing: Landing, days: range) -> Done:
    """Land these days, merge, derive and reconcile them."""
    settings = landing.settings
    before = total_rows(history(settings))
    rows = _land(landing, days)
    intake(settings)
    merge = _apart(_merge, settings)
    harvest(settings)
    derive = _apart(_derive, settings)
    _check(settings, before + rows, days.stop)
    return Done(rows, merge, derive, _apart(_reconcile, settings))


def _row(name: str, what: str, part: Part, peer: str, of_peer: Part) -> Row:
    ratio = round(part.seconds / of_peer.seconds, 2)
    value, peer_value = round(part.seconds, 1), round(of_peer.seconds, 1)
    return Row(id=name, what=what, value=value, unit="s", peer=peer, peer_value=peer_value, ratio=ratio)


def _land(landing: Landing, days: range) -> int:
    each = ROWS // DEVICES // DAYS
    rows, now = 0, datetime.now(UTC)
    for day in days:
        for first in range(0, DEVICES, AT_ONCE):
            devices = range(first, min(first + AT_ONCE, DEVICES))
            step = timedelta(seconds=86_400 / each)
            table = telemetry(devices, FIRST + timedelta(days=day), each, step, arrival=now)
            landing.land(table, committed=now)
            rows += table.num_rows
    return rows


def _check(settings: RegionSettings, rows: int, days: int) -> None:
    found, made = total_rows(history(settings)), total_rows(table(settings, DEVICE_DAY_TABLE))
    if found != rows or made < DEVICES * days:
        raise AssertionError(f"history has {found:,} of {rows:,} rows, {made:,} device days of {DEVICES * days:,}")


def _apart(work: Callable[[RegionSettings], float], settings: RegionSettings) -> Part:
    """Do the work in a process of its own, as a Dagster run does, and watch its memory."""
    context = get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(there, work, settings))
    process.start()
    peak = 0
    while process.is_alive():
        with suppress(psutil.Error):
            root = psutil.Process(process.pid)
            peak = max(peak, sum(_resident(one) for one in (root, *root.children(recursive=True))))
        process.join(0.2)
    if process.exitcode:
        raise AssertionError(f"{work.__name__} ended with {process.exitcode}")
    return Part(here.recv(), peak / 2**20)


def _send(there: Connection, work: Callable[[RegionSettings], float], settings: RegionSettings) -> None:
    log_of_a_command()
    there.send(work(settings))


def _resident(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def _merge(settings: RegionSettings) -> float:
    spark = spark_session(settings, large=is_large(settings, MergeLanding(region=REGION, hours=[], stragglers=True)))
    return _timed(lambda: merge_landing(spark, settings, [], stragglers=True))


def _derive(settings: RegionSettings) -> float:
    days = due_days(settings)
    spark = spark_session(settings, large=is_large(settings, DeriveDays(REGION, days)))
    return _timed(lambda: derive_days(spark, settings, days))


def _reconcile(settings: RegionSettings) -> float:
    def proven() -> None:
        result = reconcile(settings)
        if not result.ok:
            raise AssertionError(f"reconciliation differs: {result.differences[:3]}")

    return _timed(proven)


def _merge_plainly(settings: RegionSettings) -> float:
    """The first row of each identity, written as a table of the same layout."""
    spark = spark_session(settings, large=ROWS >= LARGE_ROWS)

    def merged() -> None:
        rows = spark.read.schema(from_arrow_schema(LANDING_SCHEMA)).parquet(
            f"s3a://{settings.bucket}/landing/telemetry/*/*"
        )
        first = Window.partitionBy(*IDENTITY).orderBy("arrival_ts", "shard_id", "sequence_number", "sub_sequence")
        once = rows.withColumn("place", fn.row_number().over(first)).where("place = 1").select(*LANDING_SCHEMA.names)
        buckets = fn.partitioning.bucket(settings.row.history_buckets, "device_id")
        writer = once.writeTo(PLAIN).using("iceberg").tableProperty("write.parquet.compression-codec", "zstd")
        writer.partitionedBy(fn.partitioning.days("ts"), buckets).create()

    return _timed(merged)


def _derive_plainly(settings: RegionSettings) -> float:
    """Trips and device days as window functions make them: each interval by the speed at its start, cut at stops."""
    spark = spark_session(settings, large=ROWS >= LARGE_ROWS)

    def derived() -> None:
        device = Window.partitionBy("device_id").orderBy("ts")
        rows = spark.table(PLAIN).select("device_id", "ts", "lat", "lon", "speed_kmh", "odometer_km", "fuel_rate_lph")
        day = fn.to_date(fn.from_utc_timestamp("ts", settings.row.time_zone)).alias("day")
        after = fn.lead("ts").over(device)
        steps = rows.select("*", day, (after.cast("double") - fn.col("ts").cast("double")).alias("seconds"))
        steps = steps.withColumn("km", _haversine_km(fn.lead("lat").over(device), fn.lead("lon").over(device)))
        moves = (fn.col("speed_kmh") > settings.moving_kmh) & (fn.col("seconds") <= settings.trip_gap_s)
        steps = steps.withColumn("moves", moves)
        moved = fn.last(fn.when(fn.col("moves"), fn.col("ts")), ignorenulls=True)
        before = moved.over(device.rowsBetween(Window.unboundedPreceding, -1))
        rest_s = fn.col("ts").cast("double") - before.cast("double")
        begins = fn.col("moves") & (before.isNull() | (rest_s > settings.trip_stop_s))
        steps = steps.withColumn("trip", fn.sum(begins.cast("int")).over(device)).persist()
        sums = [fn.sum(fn.when(fn.col("moves"), fn.col(name))).alias(name) for name in ("seconds", "km")]
        trips = steps.groupBy("device_id", "trip").agg(fn.min("ts"), fn.max("ts"), fn.max("speed_kmh"), *sums)
        trips.writeTo(f"{PLAIN}_trip").using("iceberg").create()
        grown = (fn.max("odometer_km") - fn.min("odometer_km")).alias("odometer_km")
        fuel = fn.sum(fn.col("fuel_rate_lph") * fn.col("seconds") / 3600).alias("fuel_l")
        days = steps.groupBy("device_id", "day").agg(fn.count("*"), fn.min("ts"), fn.max("ts"), grown, fuel, *sums)
        days.writeTo(f"{PLAIN}_day").using("iceberg").create()

    return _timed(derived)


def _haversine_km(lat: Column, lon: Column) -> Column:
    here, there = fn.radians("lat"), fn.radians(lat)
    north, east = fn.sin((there - here) / 2), fn.sin((fn.radians(lon) - fn.radians("lon")) / 2)
    return fn.asin(fn.sqrt(north * north + fn.cos(here) * fn.cos(there) * east * east)) * 2 * 6371.0088


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
