"""The world's load: by etag, one region and day at a time, and nothing that is not a release."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import boto3
import psycopg
import pyarrow as pa
import pytest
from botocore.exceptions import ClientError

from contracts.derived import CUSTOMER_DAY_SCHEMA, UTILISATION_DAY_SCHEMA
from contracts.settings import RegionSettings, WorldSettings
from marts.dbt import window_arguments
from marts.metrics import metrics_of
from release.exchange import ReleaseKey, encode
from release.world import (
    due_marts,
    due_objects,
    late_releases,
    load_world,
    loaded_etags,
    mark_marts,
    refused_objects,
)
from stack import running_site
from stack.environments import bi_dsn
from stack.provision.postgres import connect
from tests.builders.marts import clear_exchange, empty, fetch, run_dbt
from tests.builders.marts import connect as marts_connect

DAYS = [date(2025, 11, 3), date(2025, 11, 4)]


def cell(region: str, day: date, device_type: str = "all", **values: Any) -> dict[str, Any]:
    row = {"region": region, "day": day, "device_type": device_type, "status": "published", "cohort": 30, "devices": 35}
    return row | {"records": 1000.0} | {"engine_h": 10.0, "moving_h": 9.0, "distance_km": 300.0} | values


def put(settings: RegionSettings, day: date, cells: list[dict[str, Any]], table: pa.Table | None = None) -> str:
    """Publish as the region does; returns the key."""
    key = ReleaseKey(settings.region, "utilisation_day", day).key
    table = pa.Table.from_pylist(cells, schema=UTILISATION_DAY_SCHEMA) if table is None else table
    client = boto3.client("s3", **settings.s3.client_kwargs(settings.row.aws_region))
    client.put_object(Bucket="exchange", Key=key, Body=encode(table))
    return key


@pytest.fixture
def regions(stack) -> list[RegionSettings]:
    return [stack.settings("ap"), stack.settings("af")]


@pytest.fixture
def world(stack, regions) -> Iterator[WorldSettings]:
    """Neither region has published anything; what others have is loaded."""
    settings = stack.world_settings()
    for region in regions:
        clear_exchange(stack.state, region.region)
    empty(settings)
    load_world(settings)
    mark_marts(settings, loaded_etags(settings, due_marts(settings)))
    yield settings
    for region in regions:
        clear_exchange(stack.state, region.region)
    empty(settings)


def staged(settings: WorldSettings) -> list[tuple]:
    query = (
        "select region, day, device_type, distance_km from staging.utilisation_day where day = any(%s) order by 1, 2, 3"
    )
    return fetch(settings, query, DAYS)


def test_an_object_is_due_until_loaded_and_again_when_it_changed(world, regions):
    key = put(regions[0], DAYS[0], [cell("ap", DAYS[0])])
    assert due_objects(world) == [key]
    report = load_world(world)
    assert (report.loaded, report.days, report.rows, report.refused) == ([key], [DAYS[0]], 1, {})
    assert due_objects(world) == []
    put(regions[0], DAYS[0], [cell("ap", DAYS[0])])
    assert due_objects(world) == []  # put again with the same content
    put(regions[0], DAYS[0], [cell("ap", DAYS[0], distance_km=310.0)])
    assert due_objects(world) == [key]


def test_a_load_replaces_its_region_and_day_only(world, regions):
    for region in regions:
        for day in DAYS:
            put(region, day, [cell(region.region, day), cell(region.region, day, "bus")])
    load_world(world)
    put(regions[0], DAYS[0], [cell("ap", DAYS[0], distance_km=310.0)])
    load_world(world)
    assert staged(world) == [
        ("af", DAYS[0], "all", 300.0),
        ("af", DAYS[0], "bus", 300.0),
        ("af", DAYS[1], "all", 300.0),
        ("af", DAYS[1], "bus", 300.0),
        ("ap", DAYS[0], "all", 310.0),
        ("ap", DAYS[1], "all", 300.0),
        ("ap", DAYS[1], "bus", 300.0),
    ]


def test_a_bad_object_is_refused_once_and_stops_no_other(world, regions):
    smuggled = pa.Table.from_pylist([cell("ap", DAYS[0]) | {"device_id": "WVWZZZ1JZXW000001"}])
    bad = put(regions[0], DAYS[0], [], smuggled)
    good = put(regions[1], DAYS[0], [cell("af", DAYS[0])])
    report = load_world(world)
    assert report.loaded == [good]
    assert report.refused.keys() == {bad}
    assert "WVWZZZ1JZXW000001" not in str(report.refused)
    assert "device_id" in report.refused[bad]
    assert refused_objects(world) == 1
    assert staged(world) == [("af", DAYS[0], "all", 300.0)]
    assert due_objects(world) == []
    put(regions[0], DAYS[0], [cell("ap", DAYS[0])])
    assert load_world(world).loaded == [bad]  # mended


@pytest.mark.parametrize("name", ["region=ap/notes.txt", "region=ap/utilisation_day/day=2025-11-03/more.parquet"])
def test_what_is_no_release_is_refused(world, regions, name):
    client = boto3.client("s3", **regions[0].s3.client_kwargs(regions[0].row.aws_region))
    client.put_object(Bucket="exchange", Key=name, Body=b"device WVWZZZ1JZXW000001 was here")
    assert load_world(world).refused.keys() == {name}
    assert due_objects(world) == []


def test_a_region_that_writes_in_anothers_name_is_refused(world, regions):
    put(regions[0], DAYS[0], [cell("af", DAYS[0])])
    assert "region" in next(iter(load_world(world).refused.values()))
    assert staged(world) == []


def test_a_release_that_was_withdrawn_leaves_staging_and_is_due_in_the_marts(stack, world, regions):
    for region in regions:
        put(region, DAYS[0], [cell(region.region, DAYS[0])])
    load_world(world)
    mark_marts(world, loaded_etags(world, due_marts(world)))
    clear_exchange(stack.state, "ap")
    assert due_objects(world) == []
    assert staged(world) == [("af", DAYS[0], "all", 300.0)]
    assert due_marts(world) == [DAYS[0]]
    mark_marts(world, loaded_etags(world, due_marts(world)))
    assert (due_objects(world), due_marts(world)) == ([], [])
    key = put(regions[0], DAYS[0], [cell("ap", DAYS[0])])
    assert load_world(world).loaded == [key]  # published again, with the same content


def test_an_object_that_vanishes_while_others_are_loaded_stops_none(stack, world, regions, monkeypatch):
    key = put(regions[0], DAYS[0], [cell("ap", DAYS[0])])
    load_world(world)
    put(regions[0], DAYS[0], [cell("ap", DAYS[0], distance_km=310.0)])
    never = put(regions[0], DAYS[1], [cell("ap", DAYS[1])])
    good = put(regions[1], DAYS[0], [cell("af", DAYS[0])])
    listed = due_objects(world)
    assert {key, never, good} == set(listed)
    clear_exchange(stack.state, "ap")
    monkeypatch.setattr("release.world.due_objects", lambda _: listed)
    report = load_world(world)
    assert (report.loaded, report.refused) == ([good], {})
    assert staged(world) == [("af", DAYS[0], "all", 300.0)]


def test_a_strange_object_that_is_gone_is_forgotten(stack, world, regions):
    client = boto3.client("s3", **regions[0].s3.client_kwargs(regions[0].row.aws_region))
    client.put_object(Bucket="exchange", Key="region=ap/notes.txt", Body=b"x")
    load_world(world)
    clear_exchange(stack.state, "ap")
    assert load_world(world).refused == {}
    assert fetch(world, "select * from ops.exchange_object where refused_etag is not null") == []


def test_the_worlds_marts_show_what_is_published(stack, world, regions, tmp_path):
    put(regions[0], DAYS[0], [cell("ap", DAYS[0]), cell("ap", DAYS[0], "bus", distance_km=120.0)])
    put(regions[1], DAYS[1], [cell("af", DAYS[1], "car")])
    load_world(world)
    due = due_marts(world)
    assert due == DAYS
    etags = loaded_etags(world, due)
    run_dbt(world, tmp_path, "build", *window_arguments(due))
    mark_marts(world, etags)
    assert due_marts(world) == []
    days = fetch(world, "select region, day, device_type, distance_km from marts.utilisation_day order by 1, 2, 3")
    assert days == staged(world)
    totals = fetch(world, "select region, day, kinds_published, distance_km from marts.daily_total")
    assert totals == [("ap", DAYS[0], 1, 300.0)]
    for mart in ("utilisation_day", "daily_total"):
        assert fetch(world, f"select distinct is_final from marts.{mart}") == [(True,)]
    values = {metric.name: fetch(world, metric.sql)[0][0] for metric in metrics_of("world")}
    assert (values["world_distance"], values["world_engine_hours_per_device_day"]) == (300.0, 10 / 35)
    assert (values["release_cells"], values["withheld_share"]) == (3, 0.0)
    assert None not in values.values()
    clear_exchange(stack.state, "ap")
    load_world(world)
    assert due_marts(world) == DAYS[:1]
    run_dbt(world, tmp_path, "run", *window_arguments(due_marts(world)))
    assert fetch(world, "select region, day from marts.utilisation_day") == [("af", DAYS[1])]
    assert fetch(world, "select * from marts.daily_total") == []


def test_a_customer_reads_its_own_totals_and_nobody_elses(stack, world, regions):
    for region, status in zip(regions, ("published", "withheld"), strict=True):
        rows = [customer_cell(region.region, "meridian", status), customer_cell(region.region, "rival", "published")]
        put_customers(region, rows)
    assert len(load_world(world).loaded) == 2
    site = running_site(stack.state)
    with connect(site, "postgres", site.secrets.postgres_admin, "fleet_world") as admin:
        admin.execute("drop role if exists meridian_bi")
        admin.execute("create role meridian_bi login password 'secret' in role customer_reader")
        admin.execute("grant connect on database fleet_world to meridian_bi")
    with marts_connect(world) as own:
        own.execute("insert into customers.reader values ('meridian_bi', 'meridian') on conflict do nothing")
    with connect(site, "meridian_bi", "secret", "fleet_world") as reader:
        days = reader.execute("select customer, region, status, distance_km from customers.utilisation_day order by 2")
        assert days.fetchall() == [("meridian", "af", "withheld", None), ("meridian", "ap", "published", 300.0)]
        whole = reader.execute("select regions_published, regions_withheld, distance_km from customers.world_day")
        assert whole.fetchall() == [(1, 1, 300.0)]
        reader.execute("set role customer_reader")
        assert reader.execute("select count(*) from customers.utilisation_day where customer = 'rival'").fetchone() == (
            0,
        )
        plan = reader.execute("explain (analyze) select * from customers.utilisation_day where distance_km > 1")
        assert "customer_day" not in str(plan.fetchall())  # it would count the rival's rows above that distance
        for table in ("staging.customer_day", "customers.reader"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(f"select * from {table}")
    with psycopg.connect(bi_dsn(site, "world")) as others, pytest.raises(psycopg.errors.InsufficientPrivilege):
        others.execute("select * from customers.utilisation_day")


def customer_cell(region: str, customer: str, status: str) -> dict[str, Any]:
    row = {name: value for name, value in cell(region, DAYS[0]).items() if name != "device_type"}
    withheld = dict.fromkeys(("cohort", "devices", "records", "engine_h", "moving_h", "distance_km"))
    return row | {"customer": customer, "status": status} | (withheld if status == "withheld" else {})


def put_customers(settings: RegionSettings, rows: list[dict[str, Any]]) -> None:
    client = boto3.client("s3", **settings.s3.client_kwargs(settings.row.aws_region))
    key = ReleaseKey(settings.region, "customer_day", DAYS[0]).key
    client.put_object(Bucket="exchange", Key=key, Body=encode(pa.Table.from_pylist(rows, schema=CUSTOMER_DAY_SCHEMA)))


def test_a_region_that_is_late_missing_or_withheld_is_said_to_be(world, regions):
    today = datetime.now(UTC).date()
    days = {
        "missing": today - timedelta(days=30),
        "late": today - timedelta(days=6),
        "not due": today - timedelta(days=2),
    }
    with marts_connect(world) as own:
        own.execute("delete from ops.exchange_object")
    put(regions[0], days["missing"], [cell("ap", days["missing"])])
    put(regions[0], days["late"], [withheld("ap", days["late"])])
    smuggled = pa.Table.from_pylist([cell("af", days["late"]) | {"lat": 1.0}])
    put(regions[1], days["late"], [], smuggled)
    load_world(world)

    def said(region: str) -> dict[str, str]:
        rows = fetch(world, "select day, status from marts.release_status where region = %s", region)
        return {name: dict(rows)[day] for name, day in days.items()}

    assert said("ap") == {"missing": "released", "late": "withheld", "not due": "not due"}
    assert said("af") == {"missing": "missing", "late": "refused", "not due": "not due"}
    assert said("eu") == {"missing": "missing", "late": "late", "not due": "not due"}
    late = late_releases(world)
    assert set(late) == {"eu", "us", "ap", "af"}
    assert late["eu"] > late["ap"]


def withheld(region: str, day: date) -> dict[str, Any]:
    row = cell(region, day)
    return {name: row[name] for name in ("region", "day", "device_type")} | {"status": "withheld"}


def test_a_withheld_cell_is_a_row_of_the_mart(world, regions, tmp_path):
    put(regions[0], DAYS[0], [cell("ap", DAYS[0], "bus"), withheld("ap", DAYS[0])])
    load_world(world)
    run_dbt(world, tmp_path, "run", *window_arguments(due_marts(world)))
    rows = fetch(world, "select device_type, status, distance_km from marts.utilisation_day order by 1")
    assert rows == [("all", "withheld", None), ("bus", "published", 300.0)]
    assert fetch(world, "select * from marts.daily_total") == []


def test_the_world_reads_the_exchange_and_writes_nothing(world):
    client = boto3.client("s3", **world.s3.client_kwargs(world.aws_region))
    with pytest.raises(ClientError, match="AccessDenied"):
        client.put_object(Bucket="exchange", Key="region=ap/x", Body=b"")
    with pytest.raises(ClientError, match="AccessDenied"):
        client.list_objects_v2(Bucket="lake-ap")
