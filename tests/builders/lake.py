"""Builders for tests of the lake: landing rows, landing objects with their ledger items, derived frames."""

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts.ledger import (
    LANDED,
    ON_TIME_AFTER_S,
    ON_TIME_BEFORE_S,
    LandedObject,
    LeaseRow,
    LedgerEntry,
    lease_item,
    ledger_item,
)
from contracts.names import (
    DEVICE_DAY_TABLE,
    EPISODE_TABLE,
    FAULT_DAY_TABLE,
    HISTORY_TABLE,
    MOTION_HOUR_TABLE,
    TRIP_TABLE,
    arrival_hour,
    landing_key,
    leases_table,
    ledger_table,
)
from contracts.record import LANDING_SCHEMA
from contracts.settings import RegionSettings
from lake.database import transaction
from lake.iceberg.catalog import catalog

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def ms(moment: datetime) -> int:
    """Epoch milliseconds."""
    return round(moment.timestamp() * 1000)


def landing_row(device_id: str, ts: datetime, record: str, **columns: Any) -> dict[str, Any]:
    """One row of landing; it arrived a second after its event unless told otherwise."""
    row: dict[str, Any] = dict.fromkeys(LANDING_SCHEMA.names)
    row |= {"device_id": device_id, "ts": ts, "record_id": f"e:{record}", "event_id": record}
    row |= {"arrival_ts": ts + timedelta(seconds=1), "shard_id": "shardId-0", "sequence_number": "1"}
    row |= {"sub_sequence": 0, "flags": 0}
    return row | columns


def landing_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """The rows in landing's columns."""
    return pa.Table.from_pylist([dict(row) for row in rows], schema=LANDING_SCHEMA)


def drive(device_id: str, start: datetime, points: int, *, step_s: int = 10, kmh: float = 36.0) -> list[dict[str, Any]]:
    """A straight drive north at constant speed, one record each step."""
    km_per_degree = 111.195
    rows = []
    for place in range(points):
        lat = 50.0 + place * step_s / 3600 * kmh / km_per_degree
        ts = start + timedelta(seconds=place * step_s)
        rows.append(
            landing_row(device_id, ts, f"{device_id}-{ms(ts)}", lat=lat, lon=8.0, speed_kmh=kmh, engine_on=kmh > 0)
        )
    return rows


@dataclass
class Landing:
    """Puts landing objects, their ledger items and lease rows where the consumer would."""

    settings: RegionSettings
    sequence: int = 0
    positions: dict[str, str] = field(default_factory=dict)

    def land(
        self,
        table: pa.Table | Sequence[Mapping[str, Any]],
        *,
        hour: datetime | None = None,
        shard_id: str = "shardId-0",
        committed: datetime | None = None,
    ) -> str:
        """One flush of one object, filed under `hour` (that of its newest arrival unless given). Returns its key."""
        rows = table if isinstance(table, pa.Table) else landing_table(table)
        newest: datetime = pc.max(rows["arrival_ts"]).as_py()
        filed = arrival_hour(hour or newest)
        entry = self._entry(rows, filed, shard_id, committed or newest)
        self._client("s3", self.settings.s3).put_object(
            Bucket=self.settings.bucket, Key=entry.objects[0].key, Body=_parquet(rows)
        )
        dynamodb = self._client("dynamodb", self.settings.dynamodb)
        dynamodb.put_item(TableName=ledger_table(self.settings.region), Item=ledger_item(entry))
        lease = LeaseRow(shard_id=shard_id, position=entry.last_seq, watermark_ms=entry.watermark_ms)
        dynamodb.put_item(TableName=leases_table(self.settings.region), Item=lease_item(lease))
        return entry.objects[0].key

    def _entry(self, rows: pa.Table, hour: datetime, shard_id: str, committed: datetime) -> LedgerEntry:
        first, last = str(self.sequence + 1), str(self.sequence + max(rows.num_rows, 1))
        self.sequence = int(last)
        landed = LandedObject(
            key=landing_key(hour, shard_id, first, last, 1),
            kind=LANDED,
            hour_ms=ms(hour),
            rows=rows.num_rows,
            bytes=rows.nbytes,
            sha256=hashlib.sha256(_parquet(rows)).hexdigest(),
            min_ts_ms=ms(pc.min(rows["ts"]).as_py()),
            max_ts_ms=ms(pc.max(rows["ts"]).as_py()),
            stragglers=_stragglers(rows, hour),
        )
        after, self.positions[shard_id] = self.positions.get(shard_id, ""), last
        return LedgerEntry(
            shard_id=shard_id,
            after_seq=after,
            last_seq=last,
            fence=1,
            worker="builder",
            committed_ms=ms(committed),
            kinesis_records=rows.num_rows,
            user_records=rows.num_rows,
            landed=rows.num_rows,
            rejected={},
            suppressed=0,
            watermark_ms=ms(committed),
            objects=[landed],
        )

    def _client(self, service: str, where: Any) -> Any:
        return boto3.client(service, **where.client_kwargs(self.settings.row.aws_region))


def _stragglers(rows: pa.Table, hour: datetime) -> int:
    low, high = hour - timedelta(seconds=ON_TIME_BEFORE_S), hour + timedelta(seconds=3600 + ON_TIME_AFTER_S)
    on_time = pc.and_(
        pc.greater_equal(rows["ts"], pa.scalar(low, rows["ts"].type)),
        pc.less(rows["ts"], pa.scalar(high, rows["ts"].type)),
    )
    return rows.num_rows - (pc.sum(on_time).as_py() or 0)


def _parquet(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(rows, sink, compression="zstd")
    return sink.getvalue()


def for_few_rows(session: "SparkSession") -> "SparkSession":
    """The session, set for frames of a few rows: Spark would spend longer on generating code and on planning each
    stage anew than on running it. What a test starts as a process runs as the product is set.
    """
    session.conf.set("spark.sql.codegen.wholeStage", "false")
    session.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    session.conf.set("spark.sql.adaptive.enabled", "false")
    session.conf.set("spark.sql.shuffle.partitions", "2")
    return session


def empty_lake(settings: RegionSettings) -> None:
    """The region as if nothing had ever landed: no Iceberg table, no ledger, no lease, nothing in ops."""
    for table in (HISTORY_TABLE, TRIP_TABLE, EPISODE_TABLE, FAULT_DAY_TABLE, DEVICE_DAY_TABLE, MOTION_HOUR_TABLE):
        if catalog(settings).table_exists(table):
            catalog(settings).drop_table(table)
    dynamodb = boto3.resource("dynamodb", **settings.dynamodb.client_kwargs(settings.row.aws_region))
    names = {ledger_table(settings.region): ("shard_id", "last_seq"), leases_table(settings.region): ("shard_id",)}
    for name, keys in names.items():
        table = dynamodb.Table(name)
        for item in table.scan(ConsistentRead=True)["Items"]:
            table.delete_item(Key={key: item[key] for key in keys})
    with transaction(settings) as connection:
        connection.execute(
            "truncate ops.landing_object, ops.landing_cursor, ops.ledger_listing, ops.set_aside, ops.merge,"
            " ops.table_health, ops.harvest_cursor, ops.changed, ops.changed_hour, ops.packed_hour,"
            " ops.derived, ops.deriving, ops.applied, ops.watermarks"
        )


def merged(spark: "SparkSession", settings: RegionSettings) -> list[tuple[Any, ...]]:
    """History's identities with where each came from, in order."""
    rows = spark.table(f"{settings.region}.{HISTORY_TABLE}")
    chosen = rows.select("device_id", "ts", "record_id", "sequence_number", "sub_sequence", "lat")
    return sorted(tuple(row) for row in chosen.collect())


def fetch(settings: RegionSettings, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of a query on the region's database."""
    with transaction(settings) as connection:
        return connection.execute(query, list(values)).fetchall()
