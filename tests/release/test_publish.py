"""A day's release on the real services: policy applied, recorded before it is public, the same when repeated."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import boto3
import psycopg
import pytest
from botocore.exceptions import ClientError

from contracts.errors import Misuse, ReleaseRefused, SinkUnavailable
from contracts.registry import Fleet
from contracts.settings import RegionSettings
from marts import registry
from release import due_releases, publish_day
from release.exchange import ReleaseKey, decode
from tests.builders.marts import build_mart, clear_exchange, connect, device_day, empty, fetch, register, run_dbt

DAY = date(2026, 3, 2)
OLD_ENOUGH = date(2026, 3, 6)
"""Three days after DAY's end."""


@pytest.fixture(scope="module", autouse=True)
def mart(stack, tmp_path_factory) -> None:
    """marts.device_day, as dbt makes it."""
    run_dbt(stack.settings("ap"), tmp_path_factory.mktemp("dbt"), "run", "--select", "+device_day")


@pytest.fixture
def region(stack) -> Iterator[RegionSettings]:
    """`ap` with twelve buses of one subject each, eleven cars and one van, in four fleets; marts of DAY are built."""
    settings = stack.settings("ap").model_copy(update={"cohort_size": 10, "release_delay_days": 3})
    empty(settings, history=False)
    devices = {f"bus{n}": "bus" for n in range(12)} | {f"car{n}": "car" for n in range(11)} | {"van0": "van"}
    for place in range(4):
        register(settings, f"f{place}", dict(list(devices.items())[place::4]))
    with connect(settings) as connection:
        for n in range(12):
            connection.execute("insert into registry.subject values (%s)", [f"person{n}"])
            connection.execute("insert into registry.device_subject values (%s, %s)", [f"bus{n}", f"person{n}"])
    build_marts(settings, 1)
    yield settings
    clear_exchange(stack.state, settings.region)
    empty(settings, history=False)


def build_marts(settings: RegionSettings, sequence: int, **km: float) -> None:
    """A device day a registered device: 10 km, or as given by device, and an hour's engine."""
    devices = [name for (name,) in fetch(settings, "select device_id from registry.device")]
    build_mart(settings, sequence, [device_day(name, DAY, distance_gps_km=km.get(name, 10.0)) for name in devices])


def published(settings: RegionSettings) -> dict[str, dict[str, Any]]:
    data = s3(settings).get_object(Bucket="exchange", Key=key(settings))["Body"].read()
    rows = decode(data, "object").to_pylist()
    return {row["device_type"]: row for row in rows if row["status"] == "published"}


def key(settings: RegionSettings) -> str:
    return ReleaseKey(settings.region, "utilisation_day", DAY).key


def s3(settings: RegionSettings) -> Any:
    return boto3.client("s3", **settings.s3.client_kwargs(settings.row.aws_region))


def versions(settings: RegionSettings) -> list[tuple]:
    with psycopg.connect(settings.privacy_dsn.get_secret_value()) as connection:
        return connection.execute("select cell, version from privacy.release_cell order by 1, 2").fetchall()


def test_a_day_is_due_once_it_is_old_enough_and_again_when_its_marts_change(region):
    assert due_releases(region, OLD_ENOUGH - timedelta(days=1)) == []
    assert due_releases(region, OLD_ENOUGH) == [DAY]
    publish_day(region, DAY)
    assert due_releases(region, OLD_ENOUGH) == []
    build_marts(region, 2)
    assert due_releases(region, OLD_ENOUGH) == [DAY]


def test_the_van_cannot_be_computed_from_what_is_published(region):
    report = publish_day(region, DAY)
    cells = published(region)
    assert cells.keys() == {"all", "bus"}  # the cars cover the van
    assert cells["bus"] == {
        "region": region.region,
        "day": DAY,
        "device_type": "bus",
        "status": "published",
        "cohort": 10,
        "devices": 10,
        "records": 1200.0,
        "engine_h": 12.0,
        "moving_h": 10.0,
        "distance_km": 120.0,
    }
    assert (report.published, report.withheld, report.restated) == (2, 2, 0)


def test_a_repeated_publication_leaves_the_same_object_and_the_same_record(region):
    publish_day(region, DAY)
    before = (s3(region).head_object(Bucket="exchange", Key=key(region))["ETag"], versions(region))
    publish_day(region, DAY)
    assert (s3(region).head_object(Bucket="exchange", Key=key(region))["ETag"], versions(region)) == before


def test_publications_at_once_record_one_version(region):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: publish_day(region, DAY), range(4)))
    assert {version for _, version in versions(region)} == {1}
    assert published(region).keys() == {"all", "bus"}


def test_one_late_device_is_not_restated_and_ten_are(region):
    publish_day(region, DAY)
    build_marts(region, 2, bus0=500.0)
    assert publish_day(region, DAY).restated == 0
    assert published(region)["bus"]["distance_km"] == 120.0
    build_marts(region, 3, **{f"bus{n}": 20.0 for n in range(10)})
    assert publish_day(region, DAY).restated == 2
    assert published(region)["bus"]["distance_km"] == 220.0
    assert published(region)["all"]["distance_km"] == 340.0


def test_a_day_that_was_empty_is_released_once_it_has_enough(region):
    with connect(region) as connection:
        connection.execute("truncate marts.device_day")
    assert publish_day(region, DAY).published == 0
    build_marts(region, 2)
    assert due_releases(region, OLD_ENOUGH) == [DAY]
    report = publish_day(region, DAY)
    assert (report.published, report.restated) == (2, 0)
    assert published(region).keys() == {"all", "bus"}


def test_a_version_that_remembers_no_devices_stands(region):
    publish_day(region, DAY)
    with psycopg.connect(region.privacy_dsn.get_secret_value()) as connection:
        connection.execute("update privacy.release_cell set devices = null")
    build_marts(region, 2, **{f"bus{n}": 20.0 for n in range(10)})
    assert publish_day(region, DAY).restated == 0
    assert published(region)["bus"]["distance_km"] == 120.0


def test_what_was_recorded_is_what_is_put_after_a_kill_between_the_two(region, monkeypatch):
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("release.publish._put", killed)
        publish_day(region, DAY)
    assert due_releases(region, OLD_ENOUGH) == [DAY]
    build_marts(region, 2, bus0=500.0)
    publish_day(region, DAY)
    assert published(region)["bus"]["distance_km"] == 120.0  # the first version may have been seen


def test_contributors_are_kept_as_keyed_hashes_only(region):
    publish_day(region, DAY)
    with psycopg.connect(region.privacy_dsn.get_secret_value()) as connection:
        text = str(connection.execute("select * from privacy.release_cell").fetchall())
        marks = connection.execute("select cardinality(contributors) from privacy.release_cell where cell = 'bus'")
        assert marks.fetchone() == (12,)
    assert "person" not in text
    assert "bus1" not in text


def test_what_is_withheld_is_named_and_what_nobody_has_is_not(region):
    register(region, "f0", {"train0": "train"})
    publish_day(region, DAY)
    data = s3(region).get_object(Bucket="exchange", Key=key(region))["Body"].read()
    rows = {row["device_type"]: row for row in decode(data, "object").to_pylist()}
    assert {name: row["status"] for name, row in rows.items()} == {
        "all": "published",
        "bus": "published",
        "car": "withheld",  # covers the van
        "van": "withheld",
        "train": "withheld",  # did not drive, which nobody is told
    }
    assert rows["van"]["devices"] is None
    assert rows["van"].keys() - {"device_type"} == {name for name in rows["train"] if name != "device_type"}


def test_a_company_that_has_all_buses_has_them_to_itself(region):
    with connect(region) as connection:
        connection.execute("update registry.fleet set customer = 'acme' where fleet_id in ('f0', 'f1', 'f2')")
    publish_day(region, DAY)
    assert published(region) == {}  # two holders: each would know the other's part


def test_a_customer_gets_its_own_total_and_no_other_fleet_does(region):
    with connect(region) as connection:
        connection.execute("update registry.fleet set customer = 'acme' where fleet_id in ('f0', 'f1')")
        connection.execute("update registry.fleet set customer = 'tiny' where fleet_id = 'f2'")
    publish_day(region, DAY)
    own = ReleaseKey(region.region, "customer_day", DAY)
    rows = decode(s3(region).get_object(Bucket="exchange", Key=own.key)["Body"].read(), "object").to_pylist()
    cells = {row["customer"]: (row["status"], row["devices"], row["distance_km"]) for row in rows}
    assert cells == {"acme": ("published", 10, 120.0), "tiny": ("withheld", None, None)}


def test_a_fleet_keeps_its_customer_until_another_is_entered(region):
    def enter(customer: str | None) -> None:
        registry.register(region, [Fleet("f0", "Fleet 0", customer)], [])

    for customer, kept in (("acme", "acme"), (None, "acme"), ("zeta", "zeta")):
        enter(customer)
        query = "select name, customer from registry.fleet where fleet_id = 'f0'"
        assert fetch(region, query) == [("Fleet 0", kept)]
    assert registry.fleet_name(region, "f0") == "Fleet 0"
    assert registry.fleet_name(region, "nowhere") == "nowhere"
    with pytest.raises(SinkUnavailable, match="refuses the registry"):
        enter("Erika Mustermann")


def test_a_device_that_joins_a_routine_is_not_computed_from_the_day_before(region):
    before = DAY - timedelta(days=1)
    with connect(region) as connection:
        connection.execute("insert into registry.device (device_id, fleet_id, type) values ('new', 'f3', 'bus')")
    names = [name for (name,) in fetch(region, "select device_id from registry.device")]
    rows = [device_day(name, before, distance_gps_km=10.0) for name in names if name != "new"]
    build_mart(region, 1, rows + [device_day(name, DAY, distance_gps_km=10.0) for name in names])
    assert publish_day(region, before).published == 2
    publish_day(region, DAY)
    assert published(region) == {}  # not the cars either: with them the van could be told from the day before's total


def test_marks_of_an_earlier_form_are_not_compared_with(region):
    publish_day(region, DAY)
    with psycopg.connect(region.privacy_dsn.get_secret_value()) as connection:
        connection.execute("update privacy.release_cell set form = 1")
    build_marts(region, 2, **{f"bus{n}": 20.0 for n in range(10)})
    assert publish_day(region, DAY).restated == 0


def test_a_young_day_and_a_day_without_marts_are_refused(region):
    with pytest.raises(ReleaseRefused, match="did not end 3 days ago"):
        publish_day(region, DAY, today=OLD_ENOUGH - timedelta(days=1))
    with pytest.raises(Misuse, match="no marts"):
        publish_day(region, DAY - timedelta(days=1))


def test_a_value_that_the_release_does_not_have_is_neither_recorded_nor_put(region, monkeypatch):
    from release import versions as module

    real = module.released
    monkeypatch.setattr(module, "released", lambda cell: real(cell) | {"device_id": "bus1"})
    monkeypatch.setattr("release.publish._put", lambda *_: pytest.fail("put"))
    with pytest.raises(ReleaseRefused, match="device_id"):
        publish_day(region, DAY)
    assert versions(region) == []


def test_the_region_may_neither_list_the_exchange_nor_write_beside_its_prefix(region):
    client = s3(region)
    with pytest.raises(ClientError, match="AccessDenied"):
        client.put_object(Bucket="exchange", Key="region=eu/utilisation_day/day=2026-03-02/data.parquet", Body=b"")
    with pytest.raises(ClientError, match="AccessDenied"):
        client.list_objects_v2(Bucket="exchange")
