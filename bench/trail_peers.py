"""The question of `fleetlake bench trail` asked otherwise: of the same day, for the same device, in one process."""

import statistics
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.expressions import And, GreaterThanOrEqual, LessThan, Reference
from pyspark.sql import SparkSession

from contracts.names import HISTORY_TABLE
from contracts.settings import RegionSettings
from lake.iceberg.tables import history

TIMES = 3
"""How often each peer is asked; the median counts."""
_DAY = timedelta(days=1)


def full_scan(settings: RegionSettings, device: str, day: datetime, expected: int) -> tuple[float, int]:
    """Milliseconds and bytes without bucket and statistics: read the day, then look for the device."""

    def ask() -> int:
        batches = history(settings).scan(row_filter=_of_day(day)).to_arrow_batch_reader()
        return sum(pc.sum(pc.equal(batch.column("device_id"), device)).as_py() or 0 for batch in batches)

    read = sum(task.file.file_size_in_bytes for task in history(settings).scan(row_filter=_of_day(day)).plan_files())
    return _median_ms(ask, expected), read


def duckdb_on_hive(files: Path, device: str, day: datetime, expected: int) -> float:
    """Milliseconds of DuckDB over Parquet files on this machine's disk, a folder for each hour."""
    connection = duckdb.connect()
    query = f"select * from read_parquet('{files}/**/*.parquet', hive_partitioning=true) where dt = ? and device_id = ?"
    return _median_ms(
        lambda: connection.execute(query, [f"{day:%Y-%m-%d}", device]).to_arrow_table().num_rows, expected
    )


def write_hive(settings: RegionSettings, day: datetime, files: Path) -> None:
    """The day's records as dt=.../hour=.../part.parquet, in order of arrival as most lakes have them."""
    rows: pa.Table = history(settings).scan(row_filter=_of_day(day)).to_arrow()
    hours = pc.hour(rows.column("ts"))
    for hour in range(24):
        folder = files / f"dt={day:%Y-%m-%d}" / f"hour={hour:02d}"
        folder.mkdir(parents=True)
        pq.write_table(
            rows.filter(pc.equal(hours, hour)).sort_by("arrival_ts"), folder / "part.parquet", compression="zstd"
        )


def spark_query(spark: SparkSession, region: str, device: str, day: datetime, expected: int) -> float:
    """Milliseconds of Spark on the same table: it knows partitions and buckets, and its session is warm."""
    end = day + _DAY
    query = (
        f"select * from {region}.{HISTORY_TABLE} where device_id = '{device}'"
        f" and ts >= timestamp '{day:%Y-%m-%d} 00:00:00Z' and ts < timestamp '{end:%Y-%m-%d} 00:00:00Z'"
    )
    spark.sql(query).collect()
    return _median_ms(lambda: len(spark.sql(query).collect()), expected)


def _of_day(day: datetime) -> And:
    return And(
        GreaterThanOrEqual(term=Reference("ts"), value=day.isoformat()),
        LessThan(term=Reference("ts"), value=(day + _DAY).isoformat()),
    )


def _median_ms(ask: Callable[[], int], expected: int) -> float:
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        found = ask()
        times.append((time.perf_counter() - began) * 1000)
        if found != expected:
            raise AssertionError(f"a peer found {found} records of a device that has {expected}")
    return statistics.median(times)
