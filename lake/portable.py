"""What the lake holds of some devices, as parts of an answer: records, derived rows, rejected records, live state."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import boto3
import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.expressions import In, Reference

from contracts.erasable import Portion, Scope
from contracts.ledger import REJECTED, LandedObject
from contracts.names import (
    DEVICE_DAY_TABLE,
    EPISODE_TABLE,
    FAULT_DAY_TABLE,
    TRIP_TABLE,
    redis_access_device,
    redis_geo,
    redis_latest,
    redis_seen,
    redis_trail,
)
from contracts.portable import Part, lies_within
from contracts.record import NULLABLE_LANDING_SCHEMA
from contracts.settings import RegionSettings
from lake.iceberg.catalog import catalog
from lake.iceberg.tables import table
from lake.live_state import live_client
from lake.merge.ledger import entries_after, ledger_shards
from lake.trail.counted_files import object_store
from lake.trail.spot_query import spot_query

_PAGE = 20_000
_JUST_NOW = timedelta(minutes=5)
_READERS = 8
_BEGINNING, _AHEAD = datetime(2000, 1, 1, tzinfo=UTC), timedelta(days=1)
"""No record is older (contracts.record), nor newer than some minutes."""
_DERIVED = (
    ("trips", "Trips", "Each trip: when, where from and to, how far, how long.", TRIP_TABLE, ("start_ts", "end_ts")),
    (
        "device_days",
        "Days",
        "What the device did on each day: use, distance, fuel.",
        DEVICE_DAY_TABLE,
        ("first_ts", "last_ts"),
    ),
    ("episodes", "Episodes", "Stops, idling, harsh changes of speed, refuels.", EPISODE_TABLE, ("start_ts", "end_ts")),
    ("fault_days", "Faults", "Fault codes that the device reported, by day.", FAULT_DAY_TABLE, ("first_ts", "last_ts")),
)
_REJECTED = pa.schema(
    [
        ("reason", pa.string()),
        ("error", pa.string()),
        ("arrival_ts", pa.timestamp("us", "UTC")),
        ("replayed_at", pa.timestamp("us", "UTC")),
        ("sent", pa.string()),
    ]
)
_LIVE = pa.schema([("device_id", pa.string()), ("kind", pa.string()), ("value", pa.string())])
_device_id = msgspec.json.Decoder(dict[str, Any]).decode


def lake_parts(settings: RegionSettings, scope: Scope) -> list[Part]:
    """All of them. Nothing is read before a part's pages are asked for."""
    records = Part(
        "records",
        "Records",
        "Every message of the device that is kept, from history, landing and live state, each once.",
        "history",
        partial(_records, settings, scope),
        is_track=True,
    )
    derived = [
        Part(name, title, doc, "derived", partial(_derived, settings, scope, of, times))
        for name, title, doc, of, times in _DERIVED
    ]
    rejected = Part(
        "rejected",
        "Rejected messages",
        "Messages that name the device and could not be kept as records, with the reason. What was sent is given where "
        "the message is the device's alone.",
        "rejected",
        partial(_rejected, settings, scope),
    )
    live = Part(
        "live",
        "Live state",
        "The newest record, the newest points, the position on the live map, and what the gateway remembers.",
        "live",
        partial(_live, settings, scope),
    )
    return [records, *derived, rejected, live]


def _records(settings: RegionSettings, scope: Scope) -> Iterator[pa.Table]:
    yield NULLABLE_LANDING_SCHEMA.empty_table()
    end_of_time = datetime.now(UTC) + _AHEAD
    with spot_query(settings, restricted_too=True) as query:
        for one in scope.portions:
            start, end, after = one.start or _BEGINNING, min(one.end or end_of_time, end_of_time), None
            while start < end:
                found = query.trails([one.device_id], start, end, after=after, limit=_PAGE)
                yield found.records
                if (after := found.next) is None:
                    break


def _derived(settings: RegionSettings, scope: Scope, name: str, times: tuple[str, str]) -> Iterator[pa.Table]:
    if not catalog(settings).table_exists(name):
        return
    found = table(settings, name)
    schema = found.schema().as_arrow()
    yield schema.empty_table()
    wanted = In(term=Reference("device_id"), literals=tuple(scope.devices))
    for batch in found.scan(row_filter=wanted).to_arrow_batch_reader():
        rows = pa.Table.from_batches([batch]).cast(schema)
        yield rows.filter(within(rows, scope.portions, *times))


def within(rows: pa.Table, portions: Sequence[Portion], first: str, last: str) -> pa.ChunkedArray | pa.Array:
    """Which rows are wholly of these portions."""
    devices, starts, ends = (rows.column(name).to_pylist() for name in ("device_id", first, last))
    of = [lies_within(portions, *one) for one in zip(devices, starts, ends, strict=True)]
    return pa.array(of, pa.bool_())


def _rejected(settings: RegionSettings, scope: Scope) -> Iterator[pa.Table]:
    yield _REJECTED.empty_table()
    store = object_store(settings)

    def read(item: LandedObject) -> pa.Table:
        try:
            with store.open_input_file(f"{settings.bucket}/{item.key}") as source:
                return _of_devices(pq.read_table(source), scope)
        except FileNotFoundError:  # landing's retention has passed
            return _REJECTED.empty_table()

    with ThreadPoolExecutor(_READERS, thread_name_prefix="rejected") as pool:
        yield from pool.map(read, _rejected_objects(settings))


def _rejected_objects(settings: RegionSettings) -> Iterator[LandedObject]:
    dynamodb = boto3.client("dynamodb", **settings.dynamodb.client_kwargs(settings.row.aws_region))
    for shard in ledger_shards(dynamodb, settings.region):
        for entry in entries_after(dynamodb, settings.region, shard, ""):
            yield from (item for item in entry.objects if item.kind == REJECTED)


def _of_devices(rows: pa.Table, scope: Scope) -> pa.Table:
    named = pc.or_(scope.needles.rows_in(rows.column("data")), scope.needles.rows_in(rows.column("partition_key")))
    found = []
    for row in rows.filter(named).to_pylist():
        at = row["arrival_ts"]
        if any(lies_within(scope.portions, device, at, at) for device in scope.devices):
            kept = {name: row[name] for name in _REJECTED.names if name in row}
            found.append(kept | {"sent": _sent(row["data"], scope)})
    return pa.Table.from_pylist(found, schema=_REJECTED)


def _sent(data: bytes, scope: Scope) -> str | None:
    """The message where it is one of the devices' own; others' are not given."""
    try:
        own = _device_id(data).get("device_id") in scope.devices
    except (msgspec.DecodeError, UnicodeDecodeError):
        own = False
    return data.decode() if own else None


def _live(settings: RegionSettings, scope: Scope) -> Iterator[pa.Table]:
    """Live state is of now: it is given where the devices are meant until some minutes ago, or later."""
    recent, region = datetime.now(UTC) - _JUST_NOW, settings.region
    devices = [device for device in scope.devices if lies_within(scope.portions, device, recent, recent)]
    rows: list[dict[str, Any]] = []
    with live_client(settings) as client:
        for device in devices:
            documents = [("newest record", client.get(redis_latest(region, device)))]
            documents += [("point", point) for point in _listed(client.zrange(redis_trail(region, device), 0, -1))]
            documents.append(("access", client.get(redis_access_device(region, device))))
            (place,) = _listed(client.geopos(redis_geo(region), device))
            documents.append(("position", None if place is None else f"{place[1]}, {place[0]}".encode()))
            seen = client.zscore(redis_seen(region), device)
            documents.append(("last arrival", None if seen is None else _instant(float(seen)).encode()))
            rows += [
                {"device_id": device, "kind": kind, "value": value.decode(errors="replace")}
                for kind, value in documents
                if value is not None
            ]
    yield pa.Table.from_pylist(rows, schema=_LIVE)


def _listed(answer: Any) -> list[Any]:
    return list(answer)


def _instant(ms: float) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()
