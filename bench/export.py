"""An answer to a data subject: a device with 30 days of records among others, beside DuckDB on the same records.

The days are appended to history as merges leave them, a commit a day, and the newest hours wait in landing. The peer is
told which files to read, and writes CSV, JSON and Parquet without an index, GPX, the other stores and an audit.
"""

import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import duckdb

from bench.landed import land, telemetry
from bench.one_region import lake_of_one_region
from bench.rows import Row
from contracts.settings import RegionSettings
from lake.iceberg.tables import history
from lake.portable import lake_parts
from marts.portable import fleet_parts
from privacy.erasure.scope import scope_of
from privacy.export import Answer, answer, privacy_parts

DAYS = int(os.environ.get("FLEETLAKE_BENCH_DAYS", "30"))
DEVICES = int(os.environ.get("FLEETLAKE_BENCH_DEVICES", "10"))
STEP = timedelta(seconds=10)
EACH = 8_640
"""Records of a device in a day."""
FIRST = datetime(2026, 10, 5, tzinfo=UTC)
WITHIN_S = 60.0
DEVICE = 7


def run() -> list[Row]:
    """Seconds of the whole answer, with its link; ratio is over the peer's."""
    with lake_of_one_region() as settings, tempfile.TemporaryDirectory(prefix="fleetlake-bench-") as folder:
        names = _fill(settings)
        began = time.perf_counter()
        given = _answer(settings, names[DEVICE], None)
        took = time.perf_counter() - began
        peer = _duckdb(settings, names[DEVICE], Path(folder))
    records = given.parts["records"]
    return [
        Row(
            id="export_30_days_s",
            what=f"everything of a device with {DAYS} days and {records:,} records, packed and linked to",
            value=round(took, 2),
            unit="s",
            peer="DuckDB, the records alone as CSV, JSON and Parquet, told the files",
            peer_value=round(peer, 2),
            ratio=round(took / peer, 2),
        ),
        Row(
            id="export_limit_share",
            what=f"share of the {WITHIN_S:.0f} s that it may take",
            value=round(took / WITHIN_S, 3),
            unit="",
        ),
        Row(id="export_records_s", what="records a second", value=round(records / took), unit="/s"),
        Row(id="export_mb", what="size of the answer", value=round(given.bytes / 1e6, 1), unit="MB"),
    ]


def _fill(settings: RegionSettings) -> list[str]:
    """DAYS days in history, and some hours of the next in landing; the devices' names."""
    for number in range(DAYS):
        rows = telemetry(range(DEVICES), FIRST + number * timedelta(days=1), EACH, STEP)
        telemetry_table = history(settings)
        telemetry_table.append(rows.cast(telemetry_table.schema().as_arrow()))
    hour = FIRST + DAYS * timedelta(days=1)
    for number in range(3):
        at = hour + number * timedelta(hours=1)
        land(settings, telemetry(range(DEVICES), at, 360, STEP), at, number + 1)
    return sorted(set(telemetry(range(DEVICES), FIRST, 1, STEP).column("device_id").to_pylist()))


def _answer(settings: RegionSettings, name: str, folder: Path | None) -> Answer:
    kind, scope = scope_of(settings, name)
    parts = [*lake_parts(settings, scope), *fleet_parts(settings, scope), *privacy_parts(settings, scope)]
    return answer(settings, kind, name, scope, parts, who="bench", folder=folder)


def _duckdb(settings: RegionSettings, name: str, folder: Path) -> float:
    """Downloads are not counted: the peer reads local files."""
    client = boto3.client("s3", **settings.s3.client_kwargs(settings.row.aws_region))
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket=settings.bucket, Prefix="warehouse/history/telemetry/data/"
    )
    files = []
    for place, item in enumerate(item for page in pages for item in page.get("Contents", ())):
        files.append(str(folder / f"{place}.parquet"))
        client.download_file(settings.bucket, item["Key"], files[-1])
    connection = duckdb.connect(config={"threads": 2})
    began = time.perf_counter()
    connection.execute(
        "create table own as select * from read_parquet(?, union_by_name => true) where device_id = ? order by ts",
        [files, name],
    )
    for form in ("csv", "json", "parquet"):
        connection.execute(f"copy own to '{folder}/own.{form}' (format {form})")
    return time.perf_counter() - began
