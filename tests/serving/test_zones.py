"""Zones through the API: operators make and end them; who is inside now and who was are told by one rule."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest

from serving.access.caller import Role
from tests.builders.consumer_process import wait_until
from tests.builders.lake import Landing, drive, landing_row
from tests.builders.serving import DAY, devices_of, fleets_of, live_row, write_live
from tests.serving.conftest import Served

ACME, ZETA = fleets_of("eu")
YARD, CAR = "eu-yard", "eu-yard-car-00"
BEGIN = DAY + timedelta(days=3, hours=8)
SPAN = {"from": f"{BEGIN:%Y-%m-%d}", "to": f"{BEGIN:%Y-%m-%d}"}
RING = [[7.9, 50.1], [8.1, 50.1], [8.1, 50.2], [7.9, 50.2]]
LONG_AGO = "2026-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def operator(served: Served) -> Iterator[httpx.Client]:
    """A fleet of these tests alone, with one car, and a client of its operator."""
    with psycopg.connect(served.eu.settings.postgres_dsn.get_secret_value(), autocommit=True) as connection:
        connection.execute("insert into registry.fleet (fleet_id, name) values (%s, %s)", (YARD, YARD))
        connection.execute(
            "insert into registry.device (device_id, fleet_id, type) values (%s, %s, 'car')", (CAR, YARD)
        )
    with served.eu.client(served.eu.token(YARD, role=Role.operator)) as client:
        yield client


def made(client: httpx.Client, name: str, **other: Any) -> dict[str, Any]:
    answer = client.post("/v1/zones", json={"fleet_id": YARD, "name": name, "ring": RING, **other})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_zone_is_made_listed_and_ended(operator: httpx.Client) -> None:
    zone = made(operator, "Depot")
    assert (zone["ring"], zone["valid_to"], zone["created_by"]) == (RING, None, "tests")
    assert zone in operator.get("/v1/zones", params={"fleet": YARD}).json()["items"]
    ended = operator.delete(f"/v1/zones/{zone['zone_id']}").json()
    assert ended["valid_to"] >= zone["valid_from"]
    assert operator.delete(f"/v1/zones/{zone['zone_id']}").json() == ended
    assert operator.get(f"/v1/zones/{zone['zone_id']}").json() == ended
    at = operator.get("/v1/zones", params={"at": ended["valid_to"]}).json()["items"]
    assert zone["zone_id"] not in [one["zone_id"] for one in at]


def test_a_ring_that_repeats_its_first_vertex_is_the_same_zone(operator: httpx.Client) -> None:
    assert made(operator, "Closed", ring=[*RING, RING[0]])["ring"] == RING


def test_zones_are_paged_by_id(operator: httpx.Client) -> None:
    names = {made(operator, f"page {number}")["zone_id"] for number in range(3)}
    seen: list[str] = []
    after = None
    while True:
        page = operator.get("/v1/zones", params={"limit": 2} | ({"after": after} if after else {})).json()
        seen += [one["zone_id"] for one in page["items"]]
        if (after := page["next"]) is None:
            break
    assert names <= set(seen)
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize(
    "other",
    [
        {"ring": [[0, 0], [1, 1]]},
        {"ring": [[0, 0], [1, 1], [1, 0], [0, 1]]},
        {"ring": [[0, 0], [200, 0], [0, 1]]},
        {"ring": [[n / 100, n / 100] for n in range(201)]},
        {"name": ""},
        {"name": "a\x00b"},
        {"valid_from": "2026-11-01T00:00:00"},
        {"valid_to": "2026-11-01T00:00:00Z"},
        {"colour": "red"},
    ],
)
def test_what_is_no_zone_is_refused(operator: httpx.Client, other: dict[str, Any]) -> None:
    answer = operator.post("/v1/zones", json={"fleet_id": YARD, "name": "x", "ring": RING, **other})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:fleetlake:problem:bad-request"), answer.text


def test_a_body_that_is_too_large_is_refused(operator: httpx.Client) -> None:
    answer = operator.post("/v1/zones", json={"fleet_id": YARD, "name": "x" * 100_000, "ring": RING})
    assert answer.status_code == 413


def test_zones_belong_to_a_fleet_and_only_operators_change_them(served: Served, operator: httpx.Client) -> None:
    zone = made(operator, "Ours")["zone_id"]
    assert operator.post("/v1/zones", json={"fleet_id": ACME, "name": "x", "ring": RING}).status_code == 404
    with served.eu.client(served.eu.token(YARD)) as viewer:
        assert viewer.get(f"/v1/zones/{zone}").status_code == 200
        assert viewer.post("/v1/zones", json={"fleet_id": YARD, "name": "x", "ring": RING}).status_code == 403
        assert viewer.delete(f"/v1/zones/{zone}").status_code == 403
    with served.eu.client(served.eu.token(ZETA, role=Role.operator)) as other:
        for answer in (
            other.get(f"/v1/zones/{zone}"),
            other.get(f"/v1/zones/{zone}/devices"),
            other.delete(f"/v1/zones/{zone}"),
        ):
            assert answer.status_code == 404
        assert YARD not in [one["fleet_id"] for one in other.get("/v1/zones").json()["items"]]
    assert operator.get(f"/v1/zones/{zone}").json()["valid_to"] is None


def test_visits_follow_the_records_and_late_ones_correct_them(served: Served, operator: httpx.Client) -> None:
    zone = made(operator, "Past", valid_from=LONG_AGO)
    landing = Landing(served.eu.settings)
    path = f"/v1/devices/{CAR}/visits"
    asked = {**SPAN, "zone": zone["zone_id"]}
    rows = drive(CAR, BEGIN, 400, step_s=10)
    landing.land(rows, shard_id="shardId-yard")
    inside = [row["ts"] for row in rows if 50.1 <= row["lat"] <= 50.2]
    (visit,) = operator.get(path, params=asked).json()["items"]
    assert (visit["name"], visit["began_before"]) == ("Past", False)
    assert visit["enter_ts"] == f"{inside[0]:%Y-%m-%dT%H:%M:%SZ}"
    assert visit["dwell_s"] == len(inside) * 10
    late = landing_row(CAR, BEGIN + timedelta(seconds=5), "late", lat=50.15, lon=8.0, speed_kmh=1.0)
    landing.land([late], shard_id="shardId-yard")
    first, second = operator.get(path, params=asked).json()["items"]
    assert (first["enter_ts"], first["dwell_s"]) == (f"{BEGIN + timedelta(seconds=5):%Y-%m-%dT%H:%M:%SZ}", 5.0)
    assert second == visit


def test_a_zone_tells_nothing_of_the_time_before_it_held(operator: httpx.Client) -> None:
    zone = made(operator, "From now on")
    asked = {**SPAN, "zone": zone["zone_id"]}
    assert operator.get(f"/v1/devices/{CAR}/visits", params=asked).json()["items"] == []


def test_who_is_inside_now_is_told_from_live_state(served: Served, operator: httpx.Client) -> None:
    zone = made(operator, "Live", ring=[[7.99, 53.0], [8.01, 53.0], [8.01, 53.1], [7.99, 53.1]], valid_from=LONG_AGO)
    path = f"/v1/zones/{zone['zone_id']}/devices"
    turns = iter(range(1, 100))

    def at(lat: float) -> None:
        write_live(served.eu.settings, [live_row(CAR, lat=lat, sequence=next(turns))])

    def inside() -> list[tuple[str, bool]]:
        return [(one["device_id"], one["began_before"]) for one in operator.get(path).json()["items"]]

    at(53.05)
    wait_until(lambda: inside() == [(CAR, True)], 30, lambda: str(inside()))
    at(53.2)
    wait_until(lambda: inside() == [], 30, lambda: str(inside()))
    at(53.06)
    wait_until(lambda: inside() == [(CAR, False)], 30, lambda: str(inside()))
    (visit,) = operator.get(path).json()["items"]
    assert visit["leave_ts"] is None
    assert visit["dwell_s"] >= 0
    assert devices_of(ACME)[0] not in operator.get(path).text


def test_a_zone_takes_the_place_of_another_in_one_moment(served: Served, operator: httpx.Client) -> None:
    old = made(operator, "Old")
    ring = [*RING[:3], [7.8, 50.3]]
    new = made(operator, "New", ring=ring, replaces=old["zone_id"], valid_to="2030-01-01T00:00:00Z")
    assert operator.get(f"/v1/zones/{old['zone_id']}").json()["valid_to"] == new["valid_from"]
    assert (new["ring"], new["valid_to"]) == (ring, "2030-01-01T00:00:00Z")
    holding = [one["zone_id"] for one in operator.get("/v1/zones", params={"ended": False}).json()["items"]]
    assert new["zone_id"] in holding
    assert old["zone_id"] not in holding
    # It has ended, and another fleet's does not exist: nothing is made.
    with served.eu.client(served.eu.token(ACME, role=Role.operator)) as other:
        strangers = {"fleet_id": ACME, "name": "x", "ring": RING, "replaces": new["zone_id"]}
        assert other.post("/v1/zones", json=strangers).status_code == 404
    again = {"fleet_id": YARD, "name": "x", "ring": RING, "replaces": old["zone_id"]}
    assert operator.post("/v1/zones", json=again).status_code == 404
    past = again | {"replaces": new["zone_id"], "valid_from": LONG_AGO}
    assert operator.post("/v1/zones", json=past).status_code == 400
    assert operator.get(f"/v1/zones/{new['zone_id']}").json() == new
