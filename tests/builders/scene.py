"""A region's stores filled as the product fills them, stage by stage, so that a test can break one of them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import boto3
import polars as pl
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts.derived import DEVICE_DAY_SCHEMA, EPISODE_SCHEMA, FAULT_DAY_SCHEMA
from contracts.kpl import aggregate
from contracts.ledger import (
    LANDED,
    ON_TIME_AFTER_S,
    ON_TIME_BEFORE_S,
    REJECTED,
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
    bucket,
    landing_key,
    leases_table,
    ledger_table,
    rejected_key,
    stream,
)
from contracts.record import REJECTED_SCHEMA, RejectReason
from contracts.settings import RegionSettings
from lake.iceberg.tables import ensure_tables, history, table
from lake.merge.intake import intake
from marts.load import load_days
from tests.builders.query import as_object

HASH_KEYS = ("0", str(2**128 - 1))
"""Explicit hash keys of the stream's first and last shard."""
_IDENTITY = ("device_id", "ts", "record_id")
MARTS = """
create table marts.device_day as
select device_id, day, records, flagged as flagged_records, late as late_records, engine_s, moving_s, idle_s, off_s,
       unknown_s, distance_gps_km, distance_odometer_km, max_speed_kmh, fuel_l, trips
from staging.device_day where SHOWN;
create table marts.trip as select * from staging.trip where SHOWN;
create table marts.idling_event as select * from staging.episode where kind = 'idle' and SHOWN;
create table marts.fuel_event as select * from staging.episode where kind in ('refuel', 'fuel_drop') and SHOWN;
create table marts.fleet_day as
select right(device_id, 1) as fleet_id, day, count(*) as devices_reporting, sum(engine_s) as utilisation_engine_s,
       sum(moving_s) as moving_s, sum(idle_s) as idle_s, sum(distance_gps_km) as distance_gps_km,
       sum(fuel_l) as fuel_l, sum(trips) as trips from staging.device_day where SHOWN group by 1, 2;
create table marts.data_completeness_day as
select right(device_id, 1) as fleet_id, day, count(*) as devices_received, sum(records) as records_received,
       sum(late) as records_late, sum(flagged) as records_flagged from staging.device_day where SHOWN group by 1, 2;
""".replace("SHOWN", "device_id not in (select device_id from registry.restriction)")
"""Of devices whose processing is not restricted."""
MARTED = """
insert into ops.applied (target, day, sequence, rows)
select 'marts', day, sequence, rows from ops.applied where target = 'staging'
on conflict (target, day) do update set sequence = excluded.sequence, rows = excluded.rows
"""


@dataclass
class Scene:
    """One region of a stack of its own."""

    settings: RegionSettings
    fence: int = 1
    leases: dict[str, LeaseRow] = field(default_factory=dict)
    entries: list[LedgerEntry] = field(default_factory=list)

    def __post_init__(self) -> None:
        region = self.settings.row.aws_region
        self.region = self.settings.region
        self.kinesis = boto3.client("kinesis", **self.settings.kinesis.client_kwargs(region))
        self.dynamodb = boto3.client("dynamodb", **self.settings.dynamodb.client_kwargs(region))
        self.s3 = boto3.client("s3", **self.settings.s3.client_kwargs(region))
        self.zone = self.settings.row.time_zone

    def sql(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement in the region's database."""
        with psycopg.connect(self.settings.postgres_dsn.get_secret_value()) as postgres:
            cursor = postgres.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def put(self, records: int, place: int) -> tuple[str, str]:
        """So many user records on the first or last shard, half of them aggregated: shard and last sequence number."""
        half = records // 2
        data = [aggregate(("k", b"{}") for _ in range(records - half))] + [b"{}"] * half
        entries = [{"Data": one, "PartitionKey": "k", "ExplicitHashKey": HASH_KEYS[place]} for one in data]
        last = {}
        for start in range(0, len(entries), 400):
            answer = self.kinesis.put_records(StreamName=stream(self.region), Records=entries[start : start + 400])
            last = max(answer["Records"], key=lambda record: int(record["SequenceNumber"]))
        return last["ShardId"], last["SequenceNumber"]

    def flush(self, rows: pa.Table, place: int = 0, rejected: int = 0, suppressed: int = 0) -> LedgerEntry:
        """The records on the stream, and what the consumer makes of them: objects, ledger entry, lease."""
        shard, last_seq = self.put(rows.num_rows + rejected + suppressed, place)
        lease = self.leases.get(shard, LeaseRow(shard_id=shard, fence=self.fence))
        hour = rows.column("arrival_ts")[0].as_py().replace(minute=0, second=0)
        objects = [self._landed(rows, hour, shard, last_seq)]
        if rejected:
            objects.append(self._rejected(rejected, hour, shard, last_seq))
        entry = LedgerEntry(
            shard_id=shard,
            after_seq=lease.position,
            last_seq=last_seq,
            fence=self.fence,
            worker="w",
            committed_ms=_ms(datetime.now(UTC)),
            kinesis_records=1,
            user_records=rows.num_rows + rejected + suppressed,
            landed=rows.num_rows,
            rejected={RejectReason.NOT_JSON.value: rejected} if rejected else {},
            suppressed=suppressed,
            watermark_ms=0,
            objects=objects,
        )
        self.put_entry(entry)
        self.put_lease(LeaseRow(shard_id=shard, fence=self.fence, position=last_seq))
        self.entries.append(entry)
        return entry

    def put_entry(self, entry: LedgerEntry) -> None:
        """Write the entry, over one of the same position."""
        self.dynamodb.put_item(TableName=ledger_table(self.region), Item=ledger_item(entry))

    def put_lease(self, row: LeaseRow) -> None:
        """Write the lease."""
        self.leases[row.shard_id] = row
        self.dynamodb.put_item(TableName=leases_table(self.region), Item=lease_item(row))

    def drop_lease(self, shard_id: str) -> None:
        """As the consumer does once the stream has forgotten an ended shard."""
        self.dynamodb.delete_item(TableName=leases_table(self.region), Key={"shard_id": {"S": shard_id}})

    def put_object(self, key: str, body: bytes) -> None:
        """Write an object of the region's bucket."""
        self.s3.put_object(Bucket=bucket(self.region), Key=key, Body=body)

    def _landed(self, rows: pa.Table, hour: datetime, shard: str, last_seq: str) -> LandedObject:
        key = landing_key(hour, shard, "0", last_seq, self.fence)
        return self._object(key, LANDED, hour, rows, as_object(rows), rows.num_rows - _on_time(rows, hour).num_rows)

    def _rejected(self, count: int, hour: datetime, shard: str, last_seq: str) -> LandedObject:
        row = {"reason": "not_json", "error": "x", "data": b"{", "partition_key": "k", "arrival_ts": hour}
        place = {"shard_id": shard, "sequence_number": last_seq, "sub_sequence": 0}
        rows = pa.Table.from_pylist([{**row, **place}] * count, schema=REJECTED_SCHEMA)
        key = rejected_key(RejectReason.NOT_JSON.value, hour, shard, "0", last_seq, self.fence)
        body = pa.BufferOutputStream()
        pq.write_table(rows, body)
        return self._object(key, REJECTED, hour, None, body.getvalue().to_pybytes(), 0, count)

    def _object(
        self, key: str, kind: str, hour: datetime, rows: pa.Table | None, body: bytes, stragglers: int, count: int = 0
    ) -> LandedObject:
        self.put_object(key, body)
        times = pc.min_max(rows.column("ts")).as_py() if rows is not None else {"min": None, "max": None}
        return LandedObject(
            key=key,
            kind=kind,
            hour_ms=_ms(hour),
            rows=count if rows is None else rows.num_rows,
            bytes=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
            min_ts_ms=None if times["min"] is None else _ms(times["min"]),
            max_ts_ms=None if times["max"] is None else _ms(times["max"]),
            stragglers=stragglers,
        )

    def merge(self, rows: pa.Table, kind: str = "on_time") -> None:
        """All that was taken in and is open on that side is in history now: `rows`, less what history has."""
        intake(self.settings)
        ensure_tables(self.settings)
        telemetry = history(self.settings)
        new = _first(rows, telemetry.scan(selected_fields=_IDENTITY).to_arrow())
        telemetry.append(new.cast(telemetry.schema().as_arrow()))
        snapshot = history(self.settings).current_snapshot()
        assert snapshot is not None
        self.sql(f"update ops.landing_object set {kind}_merged = now() where {kind}_merged is null")
        self.sql(
            "insert into ops.merge values (%s, %s, 1, %s, %s, %s, now())",
            [snapshot.snapshot_id, kind, rows.num_rows, new.num_rows, rows.num_rows - new.num_rows],
        )

    def derive(self) -> list[date]:
        """Device days of all of history, marked as derived from its current snapshot."""
        telemetry = history(self.settings)
        snapshot = telemetry.current_snapshot()
        assert snapshot is not None
        frame = device_days(telemetry.scan().to_arrow(), self.zone)
        days = sorted(set(frame.column("day").to_pylist()))
        for name, made in ((DEVICE_DAY_TABLE, frame), *_happened(frame).items()):
            derived = table(self.settings, name)
            derived.overwrite(made.cast(derived.schema().as_arrow()))
        mark = "insert into ops.harvest_cursor values ('history.telemetry', %s, %s) on conflict (table_name) do update "
        mark += "set snapshot_id = excluded.snapshot_id, sequence = excluded.sequence"
        self.sql(mark, [snapshot.snapshot_id, snapshot.sequence_number])
        for name in ("changed", "derived"):
            put = f"insert into ops.{name} (day, sequence) values (%s, %s) "
            put += "on conflict (day) do update set sequence = excluded.sequence"
            for day in days:
                self.sql(put, [day, snapshot.sequence_number])
        return days

    def load(self, days: list[date]) -> None:
        """Staging by the product's own load; marts as dbt would make them, in the columns that are summed."""
        load_days(self.settings, days)
        self.build_marts()

    def build_marts(self) -> None:
        """The marts of staging as it is, without the devices whose processing is restricted."""
        made = ("device_day", "trip", "idling_event", "fuel_event", "fleet_day", "data_completeness_day")
        self.sql(f"drop table if exists {', '.join(f'marts.{name}' for name in made)}")
        self.sql(MARTS)
        self.sql(MARTED)


def device_days(rows: pa.Table, zone: str) -> pa.Table:
    """Counts by device and business day, by polars; the measures of driving are made up."""
    frame = pl.DataFrame(pl.from_arrow(rows.select(["device_id", "ts", "flags"])))
    grouped = (
        frame.with_columns(day=pl.col("ts").dt.convert_time_zone(zone).dt.date())
        .group_by("device_id", "day")
        .agg(
            records=pl.len().cast(pl.Int64),
            flagged=(pl.col("flags") != 0).sum().cast(pl.Int64),
            first_ts=pl.col("ts").min(),
            last_ts=pl.col("ts").max(),
        )
        .sort("device_id", "day")
        .with_columns(late=pl.lit(0), distance_gps_km=pl.col("records") * 0.125, trips=pl.lit(0))
        .with_columns(off_s=pl.col("records") * 2.5, fuel_l=pl.col("records") * 0.25)
    )
    made = {name: grouped.get_column(name).to_list() for name in grouped.columns}
    size = grouped.height
    columns = [pa.array(made.get(field.name, [0] * size), field.type) for field in DEVICE_DAY_SCHEMA]
    return pa.table(columns, schema=DEVICE_DAY_SCHEMA)


def _happened(days: pa.Table) -> dict[str, pa.Table]:
    """For each device day an episode of idling, a refuel and a fault code, made up."""
    episodes, faults = [], []
    for row in days.select(["device_id", "day", "first_ts", "last_ts"]).to_pylist():
        times = {"start_ts": row["first_ts"], "end_ts": row["last_ts"], "ended": True}
        seconds = (row["last_ts"] - row["first_ts"]).total_seconds()
        for kind in ("idle", "refuel"):
            one = {"episode_id": f"{row['device_id']}-{kind}-{row['day']}", "kind": kind, "duration_s": seconds}
            episodes.append({"device_id": row["device_id"], "day": row["day"], **times, **one})
        faults.append(row | {"code": "P0217", "records": 1})
    return {
        EPISODE_TABLE: pa.Table.from_pylist(episodes, schema=EPISODE_SCHEMA),
        FAULT_DAY_TABLE: pa.Table.from_pylist(faults, schema=FAULT_DAY_SCHEMA),
    }


def live_point(client: Any, region: str, row: dict[str, Any]) -> None:
    """One record in Redis as the consumer keeps it: newest and trail."""
    document = json.dumps(row)
    client.set(f"{region}:latest:{row['device_id']}", document)
    at = _ms(datetime.fromisoformat(row["ts"]))
    client.zadd(f"{region}:trail:{row['device_id']}", {document: at})


def _on_time(rows: pa.Table, hour: datetime) -> pa.Table:
    start, end = hour - timedelta(seconds=ON_TIME_BEFORE_S), hour + timedelta(hours=1, seconds=ON_TIME_AFTER_S)
    return rows.filter((pc.field("ts") >= pa.scalar(start)) & (pc.field("ts") < pa.scalar(end)))


def _first(rows: pa.Table, known: pa.Table) -> pa.Table:
    frame = pl.DataFrame(pl.from_arrow(rows.select([*_IDENTITY, "arrival_ts"]))).with_row_index()
    once = frame.sort("arrival_ts", "index").unique(_IDENTITY, keep="first")
    kept = once.join(pl.DataFrame(pl.from_arrow(known)), on=_IDENTITY, how="anti").get_column("index")
    return rows.take(pa.array(sorted(kept.to_list()), pa.int64()))


def _ms(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
