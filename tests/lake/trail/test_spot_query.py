"""The spot query over the real stores: history, landing and Redis together, each record once, with its bytes."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import redis
from pyiceberg.expressions import And, GreaterThanOrEqual, LessThan, Reference

import stack as embedded
from bench.landed import telemetry
from contracts.errors import TooMuchToRead
from contracts.identity import IDENTITY
from contracts.ledger import LANDED, LandedObject, LeaseRow, LedgerEntry, lease_item, ledger_item
from contracts.names import landing_key, leases_table, ledger_table
from contracts.record import LANDING_SCHEMA
from contracts.settings import RegionSettings
from lake.iceberg.tables import ensure_tables, history
from lake.trail import SpotQuery, Trail
from lake.trail.spot_query import spot_query
from tests.builders.query import DAY, Rows, again, as_object
from tests.builders.query_deletes import delete_positions
from tests.builders.scene import Scene, live_point

REGION = "ap"
SHARD = "shardId-spot"
START = DAY + timedelta(days=30)


@pytest.fixture(scope="module")
def region(own_stack: Path) -> Scene:
    return Scene(RegionSettings.load(embedded.region_environment(own_stack, REGION, {})))


@pytest.fixture(scope="module")
def spots(region: Scene) -> Iterator[SpotQuery]:
    query = SpotQuery(region.settings)
    yield query
    query.close()


def named(rows: pa.Table, device: str) -> pa.Table:
    at = LANDING_SCHEMA.get_field_index("device_id")
    return rows.set_column(at, LANDING_SCHEMA.field(at), pa.array([device] * rows.num_rows))


def put_history(region: Scene, rows: pa.Table) -> None:
    ensure_tables(region.settings)
    table = history(region.settings)
    table.append(rows.cast(table.schema().as_arrow()))


def put_landing(region: Scene, rows: pa.Table, place: int, shard: str = SHARD) -> LandedObject:
    """An object that only the ledger knows; of SHARD there is a lease too."""
    hour = START.replace(minute=0)
    key = landing_key(hour, shard, str(place), str(place), 1)
    body = as_object(rows)
    region.put_object(key, body)
    times = rows.column("ts").to_pylist()
    landed = LandedObject(
        key=key,
        kind=LANDED,
        hour_ms=int(hour.timestamp() * 1000),
        rows=rows.num_rows,
        bytes=len(body),
        sha256="",
        min_ts_ms=int(min(times).timestamp() * 1000),
        max_ts_ms=int(max(times).timestamp() * 1000),
    )
    entry = LedgerEntry(
        shard_id=shard,
        after_seq="",
        last_seq=str(place),
        fence=1,
        worker="w",
        committed_ms=0,
        kinesis_records=1,
        user_records=rows.num_rows,
        landed=rows.num_rows,
        rejected={},
        suppressed=0,
        watermark_ms=0,
        objects=[landed],
    )
    region.dynamodb.put_item(TableName=ledger_table(REGION), Item=ledger_item(entry))
    lease = LeaseRow(shard_id=SHARD, position=str(place), ended=True)
    region.dynamodb.put_item(TableName=leases_table(REGION), Item=lease_item(lease))
    return landed


@pytest.fixture(scope="module")
def answer(region: Scene, spots: SpotQuery) -> tuple[Trail, pa.Table]:
    """60 records of one device: the first 30 in history, 25 to 49 landed (some twice), 45 to 59 in Redis."""
    rows = named(Rows(seed=5).make(devices=1, each=60, start=START), "spot-1")
    others = named(Rows(seed=6).make(devices=1, each=60, start=START), "spot-2")
    put_history(region, pa.concat_tables([rows.slice(0, 30), others]))
    put_landing(region, pa.concat_tables([rows.slice(25, 25), again(rows.slice(40, 5)), others]), 1)
    client = redis.Redis.from_url(region.settings.redis_url.get_secret_value())
    for row in rows.slice(45, 15).to_pylist():
        fields = {name: row[name] for name in ("device_id", "lat", "lon", "speed_kmh", "flags")}
        live_point(client, REGION, {**fields, "ts": row["ts"].isoformat()})
    return spots.trail("spot-1", START, START + timedelta(days=1)), rows


def test_three_stores_answer_as_one(answer: tuple[Trail, pa.Table]) -> None:
    found, rows = answer
    assert found.records.column("ts").to_pylist() == rows.column("ts").to_pylist()
    assert (found.sources.history, found.sources.landing, found.sources.live) == (30, 20, 10)
    stored = found.records.slice(0, 50).column("record_id").to_pylist()
    assert stored == rows.slice(0, 50).column("record_id").to_pylist()


def test_live_records_keep_what_redis_holds(answer: tuple[Trail, pa.Table]) -> None:
    found, rows = answer
    names = ["device_id", "ts", "lat", "lon", "speed_kmh"]
    assert found.records.slice(50).select(names).to_pylist() == rows.slice(50).select(names).to_pylist()


def test_it_says_what_it_read(answer: tuple[Trail, pa.Table]) -> None:
    found, _ = answer
    summary = json.loads(json.dumps(found.summary()))
    assert summary["records"] == 60
    assert summary["files_read"] >= 2
    assert summary["bytes_read"] > 1000
    assert summary["sources"] == {"history": 30, "landing": 20, "live": 10}


def test_a_range_ends_before_its_end(region: Scene, spots: SpotQuery, answer: tuple[Trail, pa.Table]) -> None:
    times = answer[1].column("ts").to_pylist()
    found = spots.trail("spot-1", times[10], times[20])
    assert found.records.column("ts").to_pylist() == times[10:20]


def test_a_device_that_is_not_known_has_no_records(spots: SpotQuery, answer: object) -> None:
    found = spots.trail("spot-nobody", START, START + timedelta(days=1))
    assert (found.records.num_rows, found.sources.history) == (0, 0)


def test_days_and_buckets_of_others_are_not_opened(region: Scene, spots: SpotQuery) -> None:
    start = START + timedelta(days=5)
    many = pa.concat_tables(
        named(Rows(seed=10 + day).make(devices=1, each=50, start=start + timedelta(days=day)), f"spot-{day}-{device}")
        for day in range(3)
        for device in range(8)
    )
    put_history(region, many)
    found = spots.trail("spot-1-3", start + timedelta(days=1), start + timedelta(days=2))
    assert found.records.num_rows == 50
    assert found.files_read == 1
    every = {task.file.file_path: task.file.record_count for task in history(region.settings).scan().plan_files()}
    assert len(every) > 8


def test_landed_objects_of_other_times_are_not_opened(region: Scene, spots: SpotQuery) -> None:
    start = START + timedelta(days=40)
    put_landing(region, named(Rows(seed=40).make(devices=1, each=5, start=start), "spot-9"), 2)
    assert spots.trail("spot-9", start, start + timedelta(hours=1)).files_read == 1
    assert spots.trail("spot-9", start + timedelta(hours=1), start + timedelta(hours=2)).files_read == 0


def test_what_landed_of_a_shard_that_nobody_remembers_is_found(region: Scene, spots: SpotQuery) -> None:
    """Its lease went with the stream's memory of it, before anything of it was taken in."""
    start = START + timedelta(days=50)
    put_landing(region, named(Rows(seed=50).make(devices=1, each=5, start=start), "spot-old"), 1, "shardId-forgotten")
    assert spots.trail("spot-old", start, start + timedelta(hours=1)).records.num_rows == 5


def test_rows_that_delete_files_removed_are_gone(region: Scene, spots: SpotQuery) -> None:
    """A positional delete as Spark's merge-on-read writes it, added to history by hand."""
    start = START + timedelta(days=60)
    rows = named(Rows(seed=60).make(devices=1, each=40, start=start), "spot-del")
    put_history(region, rows)
    add_positional_delete(region, start, [3, 4, 39])
    found = spots.trail("spot-del", start, start + timedelta(days=1))
    kept = [value for at, value in enumerate(rows.column("record_id").to_pylist()) if at not in (3, 4, 39)]
    assert found.records.column("record_id").to_pylist() == kept
    assert found.files_read == 2


def add_positional_delete(region: Scene, start: datetime, positions: list[int]) -> None:
    """Remove rows of the one data file of that day."""
    table = history(region.settings)
    day = And(
        GreaterThanOrEqual(term=Reference("ts"), value=start.isoformat()),
        LessThan(term=Reference("ts"), value=(start + timedelta(days=1)).isoformat()),
    )
    (task,) = table.scan(row_filter=day).plan_files()
    delete_positions(table, task.file, positions)


def test_counts_agree_with_an_independent_reader(region: Scene, spots: SpotQuery) -> None:
    start = START + timedelta(days=80)
    rows = pa.concat_tables(
        named(Rows(seed=80 + device).make(devices=1, each=30, start=start), f"spot-i-{device}") for device in range(6)
    )
    put_history(region, rows)
    query = "select count(*), sum(speed_kmh) from rows where device_id = 'spot-i-4' and ts >= ? and ts < ?"
    expected = duckdb.execute(query, [start, start + timedelta(minutes=20)]).fetchone()
    found = spots.trail("spot-i-4", start, start + timedelta(minutes=20))
    assert expected == (found.records.num_rows, sum(found.records.column("speed_kmh").to_pylist()))


def place_of_each(found: Trail) -> list[tuple[str, datetime, str]]:
    return list(zip(*(found.records.column(name).to_pylist() for name in IDENTITY), strict=True))


def test_several_devices_are_one_answer(region: Scene, spots: SpotQuery) -> None:
    start = START + timedelta(days=100)
    rows = {
        f"several-{n}": named(Rows(seed=100 + n).make(devices=1, each=20, start=start), f"several-{n}")
        for n in range(4)
    }
    put_history(region, pa.concat_tables([rows["several-0"], rows["several-1"].slice(0, 12), rows["several-3"]]))
    put_landing(region, pa.concat_tables([rows["several-1"].slice(10), rows["several-2"]]), 3)
    client = redis.Redis.from_url(region.settings.redis_url.get_secret_value())
    live_point(client, REGION, {"device_id": "several-0", "lat": 1.0, "lon": 2.0, "flags": 0, "ts": later(start)})
    asked = ["several-2", "several-0", "several-1", "several-none"]
    found = spots.trails(asked, start, start + timedelta(days=1))
    assert found.devices == ("several-0", "several-1", "several-2", "several-none")
    counts = {one.name: one.records.num_rows for one in found.each_device()}
    assert counts == {"several-0": 21, "several-1": 20, "several-2": 20}
    assert (found.sources.history, found.sources.landing, found.sources.live) == (32, 28, 1)
    alone = [spots.trail(device, start, start + timedelta(days=1)) for device in sorted(asked)]
    assert [one for each in alone for one in place_of_each(each)] == place_of_each(found)


def later(start: datetime) -> str:
    return (start + timedelta(hours=2)).isoformat()


def test_pages_go_on_while_records_move_from_store_to_store(region: Scene, spots: SpotQuery) -> None:
    start = START + timedelta(days=120)
    end = start + timedelta(days=2)
    made = [named(Rows(seed=120 + n).make(devices=1, each=50, start=start), f"paged-{n}") for n in range(3)]
    rows = pa.concat_tables(made)
    put_landing(region, rows, 4)
    devices = ["paged-0", "paged-1", "paged-2"]
    whole = place_of_each(spots.trails(devices, start, end))
    pages = [spots.trails(devices, start, end, limit=40)]
    put_history(region, rows)  # merged, and still in landing
    while (cursor := pages[-1].next) is not None:
        pages.append(spots.trails(devices, start, end, after=cursor, limit=40))
        put_landing(region, again(rows.slice(0, 70)), 4 + len(pages))
    assert [page.records.num_rows for page in pages] == [40, 40, 40, 30]
    assert [one for page in pages for one in place_of_each(page)] == whole
    assert pages[-1].next is None


def test_what_is_too_much_is_refused_before_it_is_read(region: Scene) -> None:
    start = START + timedelta(days=140)
    size = 60_000
    rng = np.random.default_rng(1)
    made = telemetry(range(1), start, size, timedelta(seconds=1))
    for name in ("lat", "lon"):
        made = made.set_column(LANDING_SCHEMA.get_field_index(name), LANDING_SCHEMA.field(name), [rng.random(size)])
    put_landing(region, named(made, "much"), 30)
    with spot_query(region.settings.model_copy(update={"trail_max_mib": 1})) as narrow:
        with pytest.raises(TooMuchToRead, match=r"FLEETLAKE_TRAIL_MAX_MIB=1; ask for a shorter range"):
            narrow.trail("much", start, start + timedelta(days=1))
        assert narrow.trail("spot-1", START, START + timedelta(days=1)).records.num_rows == 60


def test_one_query_serves_many_threads(spots: SpotQuery, answer: tuple[Trail, pa.Table]) -> None:
    def ask(number: int) -> tuple[int, int]:
        device = f"spot-{1 + number % 2}"
        found = spots.trail(device, START, START + timedelta(days=1))
        assert set(found.records.column("device_id").to_pylist()) == {device}
        return found.records.num_rows, found.files_read

    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(ask, range(48)))
    assert [rows for rows, _ in found] == [60] * 48
    assert len(set(found[0::2])) == len(set(found[1::2])) == 1


def test_a_connection_that_the_server_has_closed_is_replaced(
    region: Scene, spots: SpotQuery, answer: tuple[Trail, pa.Table]
) -> None:
    region.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = user and pid <> pg_backend_pid()"
    )
    assert spots.trail("spot-1", START, START + timedelta(days=1)).records.num_rows == 60
