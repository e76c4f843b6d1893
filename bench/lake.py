"""A day that fills up: 24 arrival hours of 200,000 records each, merged and derived hour by hour, as the sensors do.

What counts is the cost of a new row at the end of the day beside its cost at the start. The peer of the merge is a
MERGE of the same rows into a table of the same layout, whose condition names identities alone.
"""

import os
import time
from datetime import UTC, datetime, timedelta

from pyspark.sql import SparkSession
from pyspark.sql import functions as fn

from bench.landed import land, telemetry
from bench.one_region import REGION, lake_of_one_region
from bench.rows import Row
from contracts.settings import RegionSettings
from lake.derive.changed_days import harvest
from lake.derive.job import derive_days
from lake.derive.progress import due_days
from lake.iceberg.tables import history
from lake.merge.job import merge_landing
from lake.spark.session import spark_session

HOURS = 24
ROWS = int(os.environ.get("FLEETLAKE_BENCH_HOUR_ROWS", "200000"))
EACH = 200
"""Records of a device in an hour: one in 18 s."""
DAY = datetime(2026, 10, 5, tzinfo=UTC)
EARLY, LATE = (1, 2, 3), (22, 23, 24)
"""Hours whose medians are compared: the first pays for Spark's start."""
DERIVED = (*EARLY, *LATE)


def run() -> list[Row]:
    """Seconds for an hour's rows; ratio is that of the last hours over the first."""
    with lake_of_one_region() as settings:
        return _measure(settings)


def _measure(settings: RegionSettings) -> list[Row]:
    spark = spark_session(settings)
    merges: dict[int, float] = {}
    plain: dict[int, float] = {}
    derivations: dict[int, float] = {}
    commits = 0
    try:
        _create_plain(spark, settings)
        for number in range(1, HOURS + 1):
            hour = DAY + timedelta(hours=number - 1)
            rows = telemetry(range(ROWS // EACH), hour, EACH, timedelta(seconds=3600 / EACH))
            key = land(settings, rows, hour, number)
            began = time.perf_counter()
            commits += int(merge_landing(spark, settings, [hour], stragglers=False)["commits"])
            merges[number] = time.perf_counter() - began
            plain[number] = _plain_merge(spark, f"s3a://{settings.bucket}/{key}")
            harvest(settings)
            if number in DERIVED:
                began = time.perf_counter()
                derive_days(spark, settings, due_days(settings))
                derivations[number] = time.perf_counter() - began
    finally:
        files = len(list(history(settings).scan().plan_files()))
        spark.stop()
    return [
        _grown("merge_hour24_vs_hour2", "merge of an hour's rows", merges),
        _grown("plain_merge_hour24_vs_hour2", "plain MERGE of an hour's rows", plain),
        _grown("derive_hour24_vs_hour2", "derivation after an hour's rows", derivations),
        Row(id="commits_an_hour", what="commits an arrival hour", value=commits / HOURS, unit="commits"),
        Row(id="files_a_day", what="data files of the day", value=files, unit="files"),
    ]


def _create_plain(spark: SparkSession, settings: RegionSettings) -> None:
    """A table with history's columns, partitions and way of merging."""
    writer = spark.table(f"{REGION}.history.telemetry").limit(0).writeTo(f"{REGION}.history.plain").using("iceberg")
    for name in ("write.merge.mode", "write.merge.isolation-level", "write.distribution-mode"):
        writer = writer.tableProperty(name, history(settings).properties[name])
    buckets = fn.partitioning.bucket(settings.row.history_buckets, "device_id")
    writer.partitionedBy(fn.partitioning.days("ts"), buckets).create()


def _plain_merge(spark: SparkSession, path: str) -> float:
    spark.read.parquet(path).createOrReplaceTempView("landed_plain")
    began = time.perf_counter()
    spark.sql(
        f"merge into {REGION}.history.plain t using landed_plain s"
        " on t.device_id = s.device_id and t.ts = s.ts and t.record_id = s.record_id"
        " when matched and s.arrival_ts < t.arrival_ts then update set * when not matched then insert *"
    ).collect()
    return time.perf_counter() - began


def _grown(name: str, what: str, seconds: dict[int, float]) -> Row:
    early, late = (sorted(seconds[number] for number in hours)[1] for hours in (EARLY, LATE))
    return Row(
        id=name,
        what=f"{what}, hours 22 to 24",
        value=round(late, 2),
        unit="s",
        peer="hours 1 to 3",
        peer_value=round(early, 2),
        ratio=round(late / early, 2),
    )
