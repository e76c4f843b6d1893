"""Erasure of some devices of a fleet: hits of a decoded search before and after, rows of others, and seconds.

Meanwhile rows of other devices land and are merged, and another's past is read (bench/beside_erasure.py).
The peer is what one does without this: the whole of history written anew without the devices, by the same Spark.
"""

import os
import time
from datetime import UTC, datetime, timedelta

import numpy as np
from pyspark.sql import SparkSession
from pyspark.sql import functions as fn

import stack
from bench.beside_erasure import Beside
from bench.landed import telemetry
from bench.one_region import REGION, stack_of_one_region
from bench.rows import Row
from contracts.erasable import Portion, Scope, total
from contracts.names import HISTORY_TABLE, arrival_hour
from contracts.settings import RegionSettings
from lake.derive.changed_days import harvest
from lake.derive.job import derive_days
from lake.derive.progress import due_days
from lake.iceberg.partitions import total_rows
from lake.iceberg.tables import ensure_tables, history
from lake.merge.intake import due_merges
from lake.merge.job import merge_landing
from lake.spark.session import spark_session
from marts.applied import due_loads
from marts.load import load_days
from privacy.erasure import run as erasure
from privacy.requests import SubjectKind
from tests.builders.erasing import stores_of
from tests.builders.lake import Landing

DEVICES = int(os.environ.get("FLEETLAKE_BENCH_ERASE_DEVICES", "1000"))
ERASED = int(os.environ.get("FLEETLAKE_BENCH_ERASE_ERASED", "100"))
DAYS = int(os.environ.get("FLEETLAKE_BENCH_ERASE_DAYS", "30"))
RECORDS = int(os.environ.get("FLEETLAKE_BENCH_ERASE_RECORDS", "48"))
"""Records of a device and day."""
FIRST = datetime(2026, 9, 1, tzinfo=UTC)
PLAIN = f"{REGION}.history.plain"


def run() -> list[Row]:
    """Counts, and seconds beside the peer's."""
    with stack_of_one_region() as state:
        settings = RegionSettings.load(stack.region_environment(state, REGION))
        spark = spark_session(settings)
        landing = Landing(settings)
        rows = _filled(landing, spark)
        scope = Scope(tuple(Portion(f"veh-{number:05d}") for number in range(ERASED)))
        stores = stores_of(settings)
        planned, before, others = erasure.dry_run(stores, scope), erasure.search(stores, scope), _others(spark, scope)
        rewrite_s = _rewritten_s(spark, scope)
        with Beside(landing, spark, ERASED, FIRST + timedelta(days=DAYS + 1)) as beside:
            began = time.monotonic()
            request = erasure.begin(settings, SubjectKind.FLEET, "bench", scope, who="bench")
            done = erasure.run(settings, request, stores, who="bench", tell=lambda *_: None)
            erase_s = time.monotonic() - began
        now = _others(spark, scope)
        lost, came = np.setdiff1d(others, now).size, np.setdiff1d(now, others).size
        changed = lost + abs(came - beside.merged_rows)
        after = done.counts["hits_after"]
    what = f"{ERASED:,} of {DEVICES:,} devices, {rows:,} rows of {DAYS} days"
    return [
        _count("hits_before", f"{what}: decoded hits before", total(before)),
        _count("hits_after", "decoded hits after", after),
        _count("planned", "rows, keys and objects that the dry run said would go", total(planned)),
        _count("other_rows_changed", "rows of other devices in history that are not as they were", changed),
        _count("merges_meanwhile", f"merges meanwhile, of {beside.merged_rows:,} rows of other devices", beside.merges),
        _count("reads_meanwhile", "times that another device's day was read meanwhile", beside.reads),
        _count("reads_wrong", "of them with another number of records than before", beside.wrong_reads),
        Row(
            id="vs_rewrite",
            what="erasure from all stores, with both searches",
            value=round(erase_s, 1),
            unit="s",
            peer="all of history written anew without them, nothing else",
            peer_value=round(rewrite_s, 1),
            ratio=round(erase_s / rewrite_s, 2),
        ),
    ]


def _filled(landing: Landing, spark: SparkSession) -> int:
    settings = landing.settings
    ensure_tables(settings)
    for day in range(DAYS):
        start = FIRST + timedelta(days=day)
        made = telemetry(
            range(DEVICES), start, RECORDS, timedelta(hours=23) / RECORDS, arrival=start + timedelta(days=1)
        )
        landing.land(made, hour=arrival_hour(start + timedelta(days=1)))
    due = due_merges(settings, FIRST + timedelta(days=DAYS + 2), open_hours=True)
    merge_landing(spark, settings, due.hours, stragglers=True)
    harvest(settings)
    derive_days(spark, settings, due_days(settings))
    load_days(settings, due_loads(settings))
    return total_rows(history(settings))


def _others(spark: SparkSession, scope: Scope) -> np.ndarray:
    """A hash of each row of the other devices."""
    rows = spark.table(f"{REGION}.{HISTORY_TABLE}").where(~fn.col("device_id").isin(list(scope.devices)))
    plain = [fn.to_json(fn.struct(fn.col(name))) for name in rows.columns]
    return np.sort(rows.select(fn.xxhash64(*plain).alias("hash")).toPandas()["hash"].to_numpy())


def _rewritten_s(spark: SparkSession, scope: Scope) -> float:
    began = time.monotonic()
    rows = spark.table(f"{REGION}.{HISTORY_TABLE}").where(~fn.col("device_id").isin(list(scope.devices)))
    rows.sortWithinPartitions("device_id", "ts").writeTo(PLAIN).using("iceberg").createOrReplace()
    taken_s = time.monotonic() - began
    spark.sql(f"drop table {PLAIN} purge")
    return taken_s


def _count(name: str, what: str, value: int) -> Row:
    return Row(id=name, what=what, value=float(value), unit="")
