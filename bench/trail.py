"""A device's day out of history, on days of 100, 1,000 and 10,000 devices, beside others that are asked the same.

The days are landed as the consumer lands them, merged in several commits and rewritten by the product, so that files,
buckets and row groups are its own. Times are of queries in a process that has its connections open. Each day is asked
before its rewrite, after it, and while stragglers of other devices wait in landing; then a device of the running hour.
"""

import os
import statistics
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np

from bench.one_region import lake_of_one_region
from bench.rows import Row
from bench.trail_history import EACH, Days, name_of
from bench.trail_peers import duckdb_on_hive, full_scan, spark_query, write_hive
from contracts.settings import RegionSettings
from lake.merge.device_index import index_devices
from lake.spark.session import spark_session
from lake.trail import SpotQuery

SIZES = tuple(int(size) for size in os.environ.get("FLEETLAKE_BENCH_DEVICES", "100,1000,10000").split(","))
QUERIES = int(os.environ.get("FLEETLAKE_BENCH_QUERIES", "60"))
STRAGGLERS = int(os.environ.get("FLEETLAKE_BENCH_STRAGGLERS", "240"))
"""Objects with stragglers of others, and objects of the running hour."""
BUCKETS = int(os.environ.get("FLEETLAKE_BENCH_BUCKETS", "4"))
_DAY = timedelta(days=1)
STATES = {"_merged": "before the rewrite", "_rewritten": "after the rewrite", "": "with stragglers of others waiting"}
"""What follows the figure's name in a row's id, and how people call it."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Of the queries of one day in one state: medians, and the time that 95 % do not exceed."""

    p50_ms: float
    p95_ms: float
    bytes: float
    files: float


class Peers(msgspec.Struct, frozen=True, kw_only=True):
    """What the same question takes otherwise."""

    scan_ms: float
    scan_bytes: int
    duckdb_ms: float
    spark_ms: float


def run() -> list[Row]:
    """Times in ms, sizes in bytes; ratio is the query's figure over its peer's."""
    with lake_of_one_region(BUCKETS) as settings, tempfile.TemporaryDirectory(prefix="fleetlake-bench-") as folder:
        days, figures = Days(settings, SIZES), {}
        spark = spark_session(settings)
        try:
            days.merge(spark)
            figures["_merged"] = _measured(settings, days)
            days.rewrite(spark)
            figures["_rewritten"] = _measured(settings, days)
            days.add_stragglers(spark, STRAGGLERS)
            figures[""] = _measured(settings, days)
            peers = {}
            for devices, day in days.of.items():
                scan_ms, scan_bytes = full_scan(settings, name_of(7), day, EACH)
                write_hive(settings, day, Path(folder))
                peers[devices] = Peers(
                    scan_ms=scan_ms,
                    scan_bytes=scan_bytes,
                    duckdb_ms=duckdb_on_hive(Path(folder), name_of(7), day, EACH),
                    spark_ms=spark_query(spark, settings.region, name_of(7), day, EACH),
                )
        finally:
            spark.stop()
        return [*_rows(figures, peers), *_running_hour(settings, days)]


def _measured(settings: RegionSettings, days: Days) -> dict[int, Figures]:
    return {devices: _measure(settings, devices, day) for devices, day in days.of.items()}


def _measure(settings: RegionSettings, devices: int, day: datetime) -> Figures:
    chosen = np.random.default_rng(7).integers(0, devices, QUERIES + 1)
    return _asked(settings, [name_of(int(number)) for number in chosen], day, day + _DAY, EACH)


def _asked(settings: RegionSettings, names: list[str], start: datetime, end: datetime, expected: int) -> Figures:
    """The figures of a query for each name; the first one opens the connections and does not count."""
    query = SpotQuery(settings)
    try:
        _, *trails = [query.trail(name, start, end) for name in names]
    finally:
        query.close()
    wrong = sum(trail.records.num_rows != expected for trail in trails)
    if wrong:
        raise AssertionError(f"{wrong} of {len(trails)} queries did not find the {expected} records of their device")
    times_ms = sorted(trail.seconds * 1000 for trail in trails)
    return Figures(
        p50_ms=statistics.median(times_ms),
        p95_ms=times_ms[min(len(times_ms) - 1, int(len(times_ms) * 0.95))],
        bytes=statistics.median(trail.bytes_read for trail in trails),
        files=statistics.median(trail.files_read for trail in trails),
    )


def _rows(figures: dict[str, dict[int, Figures]], peers: dict[int, Peers]) -> list[Row]:
    rows = []
    for state, by_size in figures.items():
        for devices, found in by_size.items():
            what, peer = f"device's day of {devices:,}, {STATES[state]}", peers[devices]
            named = f"_{devices}{state}"
            rows += [
                _row(f"p50_ms{named}", f"{what}, p50", found.p50_ms, "ms", "full scan", peer.scan_ms),
                _row(f"p95_ms{named}", f"{what}, p95", found.p95_ms, "ms", "full scan", peer.scan_ms),
                _row(f"bytes{named}", f"{what}, read", found.bytes, "bytes", "full scan", peer.scan_bytes),
                Row(id=f"files{named}", what=f"{what}, opened", value=found.files, unit="files"),
            ]
    last = figures[""]
    for devices, peer in peers.items():
        for name, label, took_ms in (
            ("duckdb", "DuckDB, local hive partitions", peer.duckdb_ms),
            ("spark", "Spark, warm", peer.spark_ms),
        ):
            what = f"device's day of {devices:,}, p50"
            rows.append(_row(f"p50_ms_{devices}_vs_{name}", what, last[devices].p50_ms, "ms", label, took_ms))
    small, large = min(last), max(last)
    return [*rows, _grown(small, large, last)]


def _grown(small: int, large: int, found: dict[int, Figures]) -> Row:
    what, peer = f"bytes read on the day of {large:,}", f"day of {small:,}"
    return _row(f"bytes_{large}_vs_{small}", what, found[large].bytes, "bytes", peer, found[small].bytes)


def _running_hour(settings: RegionSettings, days: Days) -> list[Row]:
    """A device that has nothing in the running hour, before its objects are indexed and after."""
    hour = days.add_running_hour(STRAGGLERS)
    names = [name_of(number) for number in range(QUERIES // 4 + 2)]
    before = _asked(settings, names, hour, hour + _DAY, 0)
    index_devices(settings)
    after = _asked(settings, names, hour, hour + _DAY, 0)
    what, peer = f"device's running hour of {STRAGGLERS} objects of others", "not indexed"
    return [
        _row("p95_ms_running_hour", f"{what}, p95", after.p95_ms, "ms", peer, before.p95_ms),
        _row("files_running_hour", f"{what}, opened", after.files, "files", peer, before.files),
    ]


def _row(name: str, what: str, value: float, unit: str, peer: str, peer_value: float) -> Row:
    ratio = round(value / peer_value, 4) if peer_value else None
    return Row(
        id=name, what=what, value=round(value, 1), unit=unit, peer=peer, peer_value=round(peer_value, 1), ratio=ratio
    )
