"""A device whose processing is restricted is as one that does not exist, for every caller; lifted, it is back."""

from collections.abc import Iterator

import psycopg
import pytest

from lake.trail import SpotQuery
from serving.access.caller import Role
from serving.live.table import LiveTable
from tests.builders.consumer_process import wait_until
from tests.builders.serving import DRIVE_AT, devices_of, fleets_of, live_row, trip_of, write_live
from tests.serving.conftest import Served

ACME, _ = fleets_of("eu")
HIDDEN, SHOWN = devices_of(ACME)[0], devices_of(ACME)[3]
DAY = {"from": f"{DRIVE_AT:%Y-%m-%d}", "to": f"{DRIVE_AT:%Y-%m-%d}"}
PATHS = (
    f"/v1/devices/{HIDDEN}",
    f"/v1/devices/{HIDDEN}/trips",
    f"/v1/devices/{HIDDEN}/days",
    f"/v1/devices/{HIDDEN}/trail",
)


@pytest.fixture
def restricted(served: Served) -> Iterator[None]:
    dsn = served.eu.settings.postgres_dsn.get_secret_value()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("insert into registry.restriction (device_id) values (%s)", [HIDDEN])
        try:
            yield
        finally:
            connection.execute("delete from registry.restriction where device_id = %s", [HIDDEN])


def listed(served: Served, token: str) -> set[str]:
    with served.eu.client(token) as client:
        return {one["device_id"] for one in client.get("/v1/live", params={"limit": 1000}).json()["items"]}


def statuses(served: Served, token: str) -> set[int]:
    with served.eu.client(token) as client:
        return {client.get(path, params=DAY).status_code for path in PATHS}


def test_no_path_knows_it_while_it_is_restricted(served: Served, restricted: None) -> None:
    viewer, all_fleets = served.eu.token(ACME), served.eu.token("*")
    wait_until(lambda: statuses(served, viewer) == {404}, 60)
    wait_until(lambda: statuses(served, all_fleets) == {404}, 60)
    write_live(served.eu.settings, [live_row(device, lat=50.0, sequence=10**6) for device in (HIDDEN, SHOWN)])
    for token in (viewer, all_fleets):
        wait_until(lambda token=token: SHOWN in listed(served, token), 60)
        assert HIDDEN not in listed(served, token)
    with served.eu.client(viewer) as client:
        assert HIDDEN not in {
            one["device_id"] for one in client.get("/v1/devices", params={"limit": 1000}).json()["items"]
        }
        assert client.get(f"/v1/trips/{trip_of(HIDDEN)}").status_code == 404
    with served.eu.client(served.eu.token(ACME, role=Role.operator)) as operator:
        link = {"name": "x", "devices": [HIDDEN], "valid_to": "2099-01-01T00:00:00Z"}
        assert operator.post("/v1/shares", json=link).status_code in (404, 422, 400)


def test_a_trail_tells_nothing_of_it_but_that_it_is_restricted_and_the_data_subject_is_told_all(
    served: Served, restricted: None
) -> None:
    start, end = DRIVE_AT, DRIVE_AT.replace(hour=23)
    for restricted_too, records in ((False, 0), (True, 600)):
        query = SpotQuery(served.eu.settings, restricted_too=restricted_too)
        try:
            found = query.trails([HIDDEN], start, end)
        finally:
            query.close()
        assert (found.records.num_rows, found.restricted) == (records, int(not restricted_too))


def test_lifted_it_is_there_again(served: Served) -> None:
    viewer = served.eu.token(ACME)
    wait_until(lambda: statuses(served, viewer) == {200}, 60)
    write_live(served.eu.settings, [live_row(HIDDEN, lat=50.0, sequence=2 * 10**6)])
    wait_until(lambda: HIDDEN in listed(served, viewer), 60)
    assert statuses(served, viewer) == {200}


def test_a_table_hides_what_it_knew_and_what_it_hears() -> None:
    table = LiveTable()
    table.hide(frozenset({"a"}), 1)
    assert table.hidden == {"a"} and "a" not in table
