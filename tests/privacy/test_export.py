"""An answer has everything that any store holds of a person, by an independent query, and nothing of anyone else."""

import hmac
import io
import json
import time
import urllib.error
import urllib.request
import zipfile
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import boto3
import duckdb
import gpxpy
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.ledger import REJECTED, LandedObject, LedgerEntry, ledger_item
from contracts.names import ledger_table, rejected_key
from contracts.record import LANDING_SCHEMA, REJECTED_SCHEMA
from contracts.settings import RegionSettings
from lake.iceberg.tables import ensure_tables, history
from lake.live_state import forget_live
from lake.maintain.retention_policy import read_expiry
from lake.portable import lake_parts
from marts.load import load_days
from marts.portable import fleet_parts
from privacy.audit import acts
from privacy.erasure.exports import Exports
from privacy.erasure.scope import scope_of
from privacy.export import Answer, answer, privacy_parts
from privacy.export.bucket import ExportObjects
from privacy.requests import find
from privacy.retention import a_day_before
from tests.builders.lake import Landing, drive, empty_lake, landing_row, ms
from tests.builders.marts import connect, derive, device_day, empty, episode, fault_day, register, trip
from tests.builders.serving import live_row, write_live

DAY = date(2026, 11, 2)
NOON = datetime(2026, 11, 2, 4, tzinfo=UTC)  # noon in Kuala Lumpur
OWN, NEXT, ALIKE = "exp-1", "exp-2", "exp-10"
PERSON, EARLIER = "person-of-exp", "someone-earlier"
SECRET = b"\x01secret-hash"


@pytest.fixture(scope="module")
def region(stack) -> RegionSettings:
    """Two devices in every store, and a third whose name begins like the first's."""
    settings = stack.settings("ap")
    empty_lake(settings)
    empty(settings)
    fill(settings)
    yield settings
    forget_live(settings, [OWN, NEXT, ALIKE])
    with connect(settings) as connection:
        connection.execute("drop table if exists marts.probe_day")
    empty(settings)
    empty_lake(settings)


def fill(settings: RegionSettings) -> None:
    register(settings, "fleet-exp", dict.fromkeys((OWN, NEXT, ALIKE), "car"))
    with connect(settings) as connection:
        connection.execute("insert into registry.subject values (%s), (%s)", [PERSON, EARLIER])
        ties = "insert into registry.device_subject (device_id, subject_id, valid_from) values (%s, %s, %s)"
        connection.execute(ties, [OWN, EARLIER, NOON - timedelta(days=30)])
        connection.execute(ties, [OWN, PERSON, NOON + timedelta(days=1)])
        connection.execute("insert into registry.device_token (device_id, hash) values (%s, %s)", [OWN, SECRET])
        connection.execute(
            "create table if not exists marts.probe_day (device_id text, day date, first_ts timestamptz,"
            " last_ts timestamptz, note text)"
        )
        for device in (OWN, NEXT):
            connection.execute(
                "insert into marts.probe_day values (%s, %s, %s, %s, 'found')", [device, DAY, NOON, NOON]
            )
    merged = [row for n in range(3) for d in (OWN, NEXT, ALIKE) for row in drive(d, NOON + timedelta(days=n), 20)]
    ensure_tables(settings)
    telemetry = history(settings)
    rows = pa.Table.from_pylist(merged, schema=LANDING_SCHEMA)
    telemetry.append(rows.cast(telemetry.schema().as_arrow()))
    landing = Landing(settings)
    landing.land([row for d in (OWN, NEXT) for row in drive(d, NOON + timedelta(days=3), 15)])
    odd = [
        landing_row(OWN, NOON + timedelta(days=3, hours=1), "odd", lat=0.0, lon=0.0, flags=1, attributes=[("a", 'ü,"')])
    ]
    landing.land(odd)
    reject(settings, landing)
    write_live(settings, [live_row(device, lat=3.1, speed_kmh=4.0) for device in (OWN, NEXT)])
    for n in range(2):
        day = DAY + timedelta(days=n)
        rows = [device_day(device, day) for device in (OWN, NEXT)]
        derive(settings, day, n + 1, rows, [trip(OWN, day)], [episode(OWN, day)], [fault_day(OWN, day)])
        load_days(settings, [day])
    key = settings.release_key.get_secret_value().encode()
    with psycopg.connect(settings.privacy_dsn.get_secret_value()) as connection:
        for device, reader in ((OWN, "reader-1"), (NEXT, "reader-2")):
            columns, values = "subject, token_id, role, device_hmac, what", "%s, 't', 'viewer', %s, 'trail'"
            put = f"insert into privacy.past_read ({columns}) values ({values})"
            connection.execute(put, [reader, hmac.digest(key, device.encode(), sha256)])


def reject(settings: RegionSettings, landing: Landing) -> None:
    """Rejected messages: one of the device's own, one that names another of a similar name, one that names both."""
    sent = [
        b'{"device_id": "exp-1", "ts": "never"}',
        b'{"device_id": "exp-10", "ts": "never"}',
        b"not json, of exp-1 and exp-2",
    ]
    row = {"reason": "bad_ts", "error": "no time", "partition_key": "k", "arrival_ts": NOON, "shard_id": "shardId-0"}
    rows = [{**row, "data": data, "sequence_number": "1", "sub_sequence": 0} for data in sent]
    body = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=REJECTED_SCHEMA), body)
    key = rejected_key("bad_ts", NOON, "shardId-0", "900", "901", 1)
    aws = settings.row.aws_region
    boto3.client("s3", **settings.s3.client_kwargs(aws)).put_object(
        Bucket=settings.bucket, Key=key, Body=body.getvalue()
    )
    made = LandedObject(key=key, kind=REJECTED, hour_ms=ms(NOON), rows=3, bytes=1, sha256="", stragglers=0)
    entry = LedgerEntry(
        **{"shard_id": "shardId-0", "after_seq": landing.positions["shardId-0"], "last_seq": "901", "fence": 1},
        **{"worker": "t", "committed_ms": ms(NOON), "kinesis_records": 3, "user_records": 3, "landed": 0},
        **{"rejected": {"bad_ts": 3}, "suppressed": 0, "watermark_ms": ms(NOON), "objects": [made]},
    )
    client = boto3.client("dynamodb", **settings.dynamodb.client_kwargs(aws))
    client.put_item(TableName=ledger_table(settings.region), Item=ledger_item(entry))


def given(settings: RegionSettings, name: str, folder: Path | None, **times: datetime) -> Answer:
    kind, scope = scope_of(settings, name, **times)
    parts = [*lake_parts(settings, scope), *fleet_parts(settings, scope), *privacy_parts(settings, scope)]
    return answer(settings, kind, name, scope, parts, who="officer", folder=folder)


def rows_of(folder: Path, part: str) -> list[dict]:
    return json.loads((folder / "data" / f"{part}.json").read_text())


def stored(settings: RegionSettings, device: str, folder: Path) -> set[tuple[str, str]]:
    """Identities that the bucket's Parquet files hold of a device: history's and landing's, read by DuckDB alone."""
    client = boto3.client("s3", **settings.s3.client_kwargs(settings.row.aws_region))
    files = []
    for prefix in ("warehouse/history/telemetry/data/", "landing/telemetry/"):
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=settings.bucket, Prefix=prefix)
        for place, item in enumerate(item for page in pages for item in page.get("Contents", ())):
            files.append(str(folder / f"{prefix.split('/')[0]}-{place}.parquet"))
            client.download_file(settings.bucket, item["Key"], files[-1])
    query = "select distinct epoch_us(ts), record_id from read_parquet(?, union_by_name => true) where device_id = ?"
    return set(duckdb.execute(query, [files, device]).fetchall())


def test_the_answer_is_complete_against_an_independent_query_and_opens_in_duckdb_and_gpxpy(region, tmp_path):
    folder = tmp_path / "answer"
    told = given(region, OWN, folder)
    in_bucket = stored(region, OWN, tmp_path)
    assert len(in_bucket) == 3 * 20 + 15 + 1

    parquet = duckdb.execute(
        "select epoch_us(ts), record_id from read_parquet(?)", [str(folder / "data" / "records.parquet")]
    ).fetchall()
    assert {one for one in parquet if one[1] in {name for _, name in in_bucket}} == in_bucket
    assert len(parquet) == told.parts["records"] == len(in_bucket) + 1  # and the newest, which only live state has
    for form in ("csv", "json"):
        read = f"select count(*), count(distinct ts) from read_{form}_auto(?)"
        assert duckdb.execute(read, [str(folder / "data" / f"records.{form}")]).fetchone() == (len(parquet),) * 2
    track = gpxpy.parse((folder / "data" / "records.gpx").read_text())
    assert (
        sum(len(segment.points) for one in track.tracks for segment in one.segments) == len(parquet) - 1
    )  # 0, 0 is none
    for file in (folder / "data").glob("*.parquet"):
        assert duckdb.execute("select count(*) from read_parquet(?)", [str(file)]).fetchone() == (
            told.parts[file.stem],
        )


def test_every_store_is_in_it_and_nobody_else(region, tmp_path):
    folder = tmp_path / "answer"
    told = given(region, OWN, folder)
    whole = {"trips": 2, "device_days": 2, "episodes": 2, "fault_days": 2, "staging_device_day": 2, "staging_trip": 2}
    whole |= {"registry_device": 1, "registry_device_token": 1, "registry_device_period": 1, "marts_probe_day": 1}
    whole |= {"readings": 1, "rejected": 2}
    assert {name: told.parts[name] for name in whole} == whole
    assert {row["kind"] for row in rows_of(folder, "live")} >= {"newest record", "point", "position", "last arrival"}
    assert [row["reader"] for row in rows_of(folder, "readings")] == ["reader-1"]
    assert sorted(str(row.get("sent")) for row in rows_of(folder, "rejected")) == sorted(
        ["None", '{"device_id": "exp-1", "ts": "never"}']
    )
    everything = b"".join(
        file.read_bytes() for file in folder.rglob("*") if file.suffix in (".json", ".csv", ".gpx", ".html")
    )
    for other in (NEXT, ALIKE, "reader-2", EARLIER, SECRET.decode(), "secret-hash"):
        assert other.encode() not in everything, other


def test_a_person_is_given_their_own_time_with_the_device_and_not_a_day_that_they_shared(region, tmp_path):
    folder = tmp_path / "answer"
    told = given(region, PERSON, folder)
    since = (NOON + timedelta(days=1)).isoformat().replace("+00:00", "Z")
    assert told.parts["records"] == 2 * 20 + 15 + 1 + 1
    assert min(row["ts"] for row in rows_of(folder, "records")) == since
    assert told.parts["device_days"] == 1  # of the day on which they were tied, from noon on: the second of two
    assert told.parts["marts_probe_day"] == 0
    assert [row["subject_id"] for row in rows_of(folder, "registry_device_subject")] == [PERSON]
    assert given(region, EARLIER, tmp_path / "of-another").parts["records"] == told.parts["records"] + 20


def test_the_index_says_what_why_how_long_for_whom_and_which_rights(region, tmp_path):
    folder = tmp_path / "answer"
    told = given(region, OWN, folder, start=NOON, end=NOON + timedelta(hours=1))
    index = json.loads((folder / "index.json").read_text())
    page = (folder / "index.html").read_text()
    assert {part["name"]: part["rows"] for part in index["parts"]} == told.parts
    assert {file for part in index["parts"] for file in part["files"]} == {
        f"data/{file.name}" for file in (folder / "data").iterdir()
    }
    for store in index["stores"]:
        assert store["purposes"] and store["recipients"] and store["kept"] and store["holds"]
        assert store["kept"] in page.replace("&#39;", "'")
    assert f"{region.row.retention_days} days" in page
    for article in ("Art. 15", "Art. 16", "Art. 17", "Art. 18", "Art. 20", "Art. 21", "Art. 77", "Data Act"):
        assert article in page
    assert "http" not in page.replace("http-equiv", "")
    records = next(part for part in index["parts"] if part["name"] == "records")
    assert all(column["what"] and column["class"] for column in records["columns"])
    assert records["rows"] == 20


def test_the_link_opens_the_answer_and_an_erasure_finds_it(region):
    told = given(region, OWN, None)
    assert OWN not in told.link
    with urllib.request.urlopen(told.link) as response:
        packed = zipfile.ZipFile(io.BytesIO(response.read()))
    assert {"index.html", "index.json", "data/records.gpx", "data/records.parquet"} <= set(packed.namelist())
    named = {device: Exports(region).count(scope_of(region, device)[1]) for device in (OWN, NEXT)}
    assert named == {OWN: {"s3:exports/": 1}, NEXT: {"s3:exports/": 0}}


def test_a_link_ends_and_then_the_answer_is_removed(region):
    brief = region.model_copy(update={"export_link_h": 2 / 3600})
    told = given(brief, OWN, None)
    store, due = ExportObjects(brief), read_expiry(brief)
    wait_until(lambda: store.look(due)["exports"].overdue == store.look(due)["exports"].rows > 0)
    assert store.look(read_expiry(brief, a_day_before(due.today)))["exports"].overdue == 0  # it has until tonight
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(told.link)
    assert store.remove(due)["exports"] >= 1
    assert store.look(due)["exports"].rows == 0


def test_an_answer_is_written_down_without_a_name(region, tmp_path):
    told = given(region, OWN, tmp_path / "answer")
    request = find(region, UUID(told.request_id))
    assert (request.state.value, request.subject, request.scope) == ("done", None, None)
    said = [act.act for act in acts(region, request.request_id)]
    assert said == ["export.opened", "export.written", "export.done"]
    assert all(OWN not in act.detail for act in acts(region, request.request_id))


def wait_until(holds, within_s: float = 60) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.2)
