"""Guest links: what a guest sees, from when to when, and that it is nothing else."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from serving.access.caller import Role
from tests.builders.consumer_process import wait_until
from tests.builders.serving import devices_of, fleets_of
from tests.serving.conftest import Served

ACME, ZETA = fleets_of("eu")
ONE, TWO = devices_of(ACME)[:2]


def in_hours(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


@pytest.fixture
def operator(served: Served) -> Iterator[httpx.Client]:
    with served.eu.client(served.eu.token(ACME, role=Role.operator)) as client:
        yield client


def made(operator: httpx.Client, **other: Any) -> dict[str, Any]:
    answer = operator.post("/v1/shares", json={"name": "Order 1", "devices": [ONE], "valid_to": in_hours(1), **other})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_guest_sees_where_the_devices_are_and_nothing_else(served: Served, operator: httpx.Client) -> None:
    link = made(operator)
    with served.eu.client(link["secret"]) as guest:
        shown = guest.get("/v1/shared").json()
        paths = guest.get("/v1/openapi.json").json()["paths"]
        refused = {
            guest.request(method, path.replace("{device_id}", ONE).replace("{", "").replace("}", "")).status_code
            for path, methods in paths.items()
            for method in methods
            if path.startswith("/v1/") and path != "/v1/shared"
        }
    assert (shown["name"], [one["device_id"] for one in shown["items"]]) == ("Order 1", [ONE])
    assert ACME not in [one.get("fleet_id") for one in shown["items"]]
    assert refused <= {401, 404}
    assert link["page"] == f"/map/shared.html#guest={link['secret']}"


def test_a_link_is_listed_without_its_secret_and_ends_when_it_is_revoked(
    served: Served, operator: httpx.Client
) -> None:
    link = made(operator, devices=[ONE, TWO, ONE])
    number = link["share"]["share_id"]
    listed = operator.get("/v1/shares", params={"limit": 1000})
    assert number in [one["share_id"] for one in listed.json()["items"]]
    assert link["secret"] not in listed.text
    with served.eu.client(link["secret"]) as guest:
        assert len(guest.get("/v1/shared").json()["items"]) == 2
        revoked = operator.delete(f"/v1/shares/{number}").json()
        assert operator.delete(f"/v1/shares/{number}").json() == revoked
        wait_until(lambda: guest.get("/v1/shared").status_code == 401, 20, lambda: "still let in")
    with psycopg.connect(served.eu.settings.postgres_dsn.get_secret_value()) as connection:
        stored = connection.execute("select s::text from registry.share s").fetchall()
    assert all(link["secret"] not in text for (text,) in stored)


def test_a_link_holds_in_its_window_alone(served: Served, operator: httpx.Client) -> None:
    early = made(operator, valid_from=in_hours(1), valid_to=in_hours(2))
    with served.eu.client(early["secret"]) as guest:
        assert guest.get("/v1/shared").status_code == 401
    for window in (
        {"valid_to": in_hours(-1)},
        {"valid_to": in_hours(24 * 40)},
        {"valid_from": in_hours(2), "valid_to": in_hours(1)},
        {"valid_to": "2027-01-01T00:00:00"},
    ):
        answer = operator.post("/v1/shares", json={"name": "x", "devices": [ONE], "valid_to": in_hours(1)} | window)
        assert answer.status_code == 400, (window, answer.text)


def test_only_an_operator_of_the_fleet_makes_sees_and_revokes_links(served: Served, operator: httpx.Client) -> None:
    foreign = {"name": "x", "devices": [ONE, devices_of(ZETA)[0]], "valid_to": in_hours(1)}
    assert operator.post("/v1/shares", json=foreign).status_code == 404
    link = made(operator)["share"]["share_id"]
    with served.eu.client(served.eu.token(ACME)) as viewer:
        assert viewer.get("/v1/shares").status_code == 403
        assert (
            viewer.post("/v1/shares", json={"name": "x", "devices": [ONE], "valid_to": in_hours(1)}).status_code == 403
        )
    with served.eu.client(served.eu.token(ZETA, role=Role.operator)) as other:
        assert other.get("/v1/shares").json()["items"] == []
        assert other.delete(f"/v1/shares/{link}").status_code == 404


def test_a_device_that_moved_to_another_fleet_leaves_the_link(served: Served, operator: httpx.Client) -> None:
    device = devices_of(ACME)[2]
    link = made(operator, devices=[device])
    database = served.eu.settings.postgres_dsn.get_secret_value()
    with served.eu.client(link["secret"]) as guest, psycopg.connect(database, autocommit=True) as connection:
        assert len(guest.get("/v1/shared").json()["items"]) == 1
        move = "update registry.device set fleet_id = %s where device_id = %s"
        connection.execute(move, (ZETA, device))
        try:
            wait_until(lambda: guest.get("/v1/shared").json()["items"] == [], 30, lambda: "still shown")
        finally:
            connection.execute(move, (ACME, device))
        wait_until(lambda: len(guest.get("/v1/shared").json()["items"]) == 1, 30, lambda: "not shown again")


def test_a_secret_of_nobody_is_refused(served: Served) -> None:
    for secret in ("guest.x", "", "guest." + "a" * 9_000, served.eu.token(ACME)):
        with served.eu.client(secret or None) as guest:
            assert guest.get("/v1/shared").status_code == 401
