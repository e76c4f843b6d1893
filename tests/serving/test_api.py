"""What the API answers on real stores: each path, its pages, its bounds, its problems."""

import json

import pytest

from tests.builders.serving import DAY, devices_of, fleets_of, live_row, trip_of, write_live
from tests.serving.conftest import Served

ACME, ZETA = fleets_of("eu")
ON_DAY = {"from": f"{DAY:%Y-%m-%d}", "to": f"{DAY:%Y-%m-%d}"}


def test_devices_are_those_of_the_tokens_fleets_page_by_page(served: Served) -> None:
    with served.eu.client(served.eu.token(ACME)) as client:
        first = client.get("/v1/devices", params={"limit": 4}).json()
        second = client.get("/v1/devices", params={"limit": 4, "after": first["next"]}).json()
        found = client.get("/v1/devices", params={"q": "CAR-03"}).json()
        nothing = client.get("/v1/devices", params={"q": "%"}).json()
    assert [one["device_id"] for one in first["items"] + second["items"]] == devices_of(ACME)
    assert second["next"] is None
    assert [one["device_id"] for one in found["items"]] == [f"{ACME}-car-03"]
    assert nothing["items"] == []


def test_a_device_has_its_registry_and_its_newest_record(served: Served) -> None:
    device = devices_of(ACME)[1]
    with served.eu.client(served.eu.token(ACME)) as client:
        found = client.get(f"/v1/devices/{device}").json()
    assert (found["device"]["make"], found["device"]["state"]) == ("Make", "moving")
    assert (found["newest"]["device_id"], found["newest"]["speed_kmh"]) == (device, 40.0)
    assert "order" not in found["newest"]


def test_live_is_narrowed_by_box_place_state_and_fleet(served: Served) -> None:
    with served.eu.client(served.eu.token(ACME, ZETA)) as client:

        def ids(**query: object) -> list[str]:
            return [one["device_id"] for one in client.get("/v1/live", params=query).json()["items"]]

        assert ids(limit=1000) == sorted(devices_of(ACME) + devices_of(ZETA))
        assert ids(fleet=ZETA) == devices_of(ZETA)
        assert ids(bbox="7,50.5,9,52") == devices_of(ZETA)
        assert ids(bbox="170,-90,-170,90") == []
        assert ids(near="50.019,8", radius_m=1500, limit=3) == [f"{ACME}-car-02", f"{ACME}-car-01", f"{ACME}-car-03"]
        assert ids(status="moving", fleet=ACME) == [f"{ACME}-car-{number:02d}" for number in (1, 3, 5)]
        assert ids(fleet="no-such-fleet") == []


def test_a_page_goes_on_where_the_one_before_ended(served: Served) -> None:
    seen, after = [], None
    with served.eu.client(served.eu.token(ACME, ZETA)) as client:
        while True:
            page = client.get("/v1/live", params={"limit": 5} | ({"after": after} if after else {})).json()
            assert page["total"] == 12
            seen += [one["device_id"] for one in page["items"]]
            if (after := page["next"]) is None:
                break
    assert seen == sorted(devices_of(ACME) + devices_of(ZETA))


def test_cells_count_every_device(served: Served) -> None:
    with served.eu.client(served.eu.token(ACME, ZETA)) as client:
        page = client.get("/v1/live/cells", params={"zoom": 3}).json()
    assert page["devices"] == sum(cell["devices"] for cell in page["cells"]) == 12
    assert sum(cell["moving"] for cell in page["cells"]) == 6


def test_trips_days_and_fleets_come_from_the_marts(served: Served) -> None:
    device = devices_of(ACME)[0]
    with served.eu.client(served.eu.token(ACME)) as client:
        (trip,) = client.get(f"/v1/devices/{device}/trips", params=ON_DAY).json()["items"]
        (day,) = client.get(f"/v1/devices/{device}/days", params=ON_DAY).json()["items"]
        (fleet,) = client.get("/v1/fleets").json()["items"]
        (fleet_day,) = client.get(f"/v1/fleets/{ACME}/days", params=ON_DAY).json()["items"]
        detail = client.get(f"/v1/trips/{trip_of(device)}").json()
    assert (trip["trip_id"], trip["distance_km"], day["trips"]) == (trip_of(device), 60.0, 1)
    assert (fleet["fleet_id"], fleet["devices"], fleet_day["trips"]) == (ACME, 6, 1)
    assert detail["trip"] == trip
    assert len(detail["path"]) == 600


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v1/live?limit=1001", "limit"),
        ("/v1/live?limit=0", "limit"),
        ("/v1/live?bbox=1,2,3", "bbox: write 4 numbers"),
        ("/v1/live?near=nan,1", "near: write 2 numbers"),
        ("/v1/live?near=91,1", "latitudes within 90"),
        ("/v1/live?near=1,1&radius_m=600000", "radius_m"),
        ("/v1/live/cells?zoom=99", "zoom"),
        ("/v1/devices/eu-acme-car-00/trail?from=2026-11-02&to=2026-12-30", "longer than 31 days"),
        ("/v1/devices/eu-acme-car-00/trail?from=2026-11-02T08:00:00&to=2026-11-03", "has no offset"),
        ("/v1/devices/eu-acme-car-00/trail?from=2026-11-02&to=2026-11-02&columns=odo", "columns: odo"),
        ("/v1/devices/eu-acme-car-00/trail?from=2026-11-02&to=2026-11-02&after=x", "no page gave this cursor"),
        ("/v1/devices/eu-acme-car-00/trips?from=2026-11-02", "to"),
        ("/v1/devices/a%20b", "device_id"),
        ("/v1/devices?q=a%00b", "no stored value can have"),
    ],
)
def test_what_is_out_of_bounds_is_a_problem_that_says_what_to_do(served: Served, path: str, said: str) -> None:
    with served.eu.client(served.eu.token(ACME)) as client:
        answer = client.get(path)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert said in problem["detail"]
    assert (problem["status"], problem["type"]) == (400, "urn:fleetlake:problem:bad-request")


def test_an_answer_that_did_not_change_is_not_sent_again(served: Served) -> None:
    with served.eu.client(served.eu.token(ACME)) as client:
        first = client.get("/v1/fleets")
        again = client.get("/v1/fleets", headers={"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_an_answer_is_compressed(served: Served, encoding: str) -> None:
    with served.eu.client(served.eu.token(ACME, ZETA)) as client:
        plain = client.get("/v1/live", headers={"Accept-Encoding": "identity"})
        packed = client.get("/v1/live", headers={"Accept-Encoding": encoding})
    assert packed.headers["content-encoding"] == encoding
    assert packed.json()["items"] == plain.json()["items"]


def test_every_answer_has_the_headers_of_security(served: Served) -> None:
    with served.eu.client() as client:
        for path in ("/v1/live", "/map/", "/healthz", "/none"):
            headers = client.get(path).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert "server" not in headers


def test_only_the_pages_of_the_settings_may_call(served: Served) -> None:
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    with served.eu.client() as client:
        known = client.options("/v1/live", headers={"Origin": served.us.origin, **asked})
        other = client.options("/v1/live", headers={"Origin": "https://evil.example", **asked})
    assert known.headers["access-control-allow-origin"] == served.us.origin
    assert "access-control-allow-origin" not in other.headers


def test_the_document_names_every_path_and_every_parameter_has_words(served: Served) -> None:
    with served.eu.client() as client:
        document = client.get("/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert {"/v1/live", "/v1/live/stream", "/v1/devices/{device_id}/trail", "/v1/trips/{trip_id}"} <= set(
        document["paths"]
    )
    for path, methods in document["paths"].items():
        for one in methods.values():
            assert one["description"], path
            assert all(parameter.get("description") for parameter in one.get("parameters", [])), path


def test_a_stream_sends_what_changes_and_resumes(served: Served) -> None:
    device, settings = devices_of(ACME)[4], served.eu.settings
    with served.eu.client(served.eu.token(ACME)) as client:
        before = client.get("/v1/live").json()["version"]
        write_live(settings, [live_row(device, lat=50.9, speed_kmh=77.0, sequence=50)])
        write_live(settings, [live_row(devices_of(ZETA)[4], lat=51.04, speed_kmh=0.0, sequence=50)])
        events = _events(client, {"Last-Event-ID": before}, until="devices")
        again = _events(client, {"Last-Event-ID": before}, until="devices")
    (sent,) = [one for one in events[-1]["items"] if one["device_id"] == device]
    assert (sent["speed_kmh"], sent["lat"]) == (77.0, 50.9)
    assert {one["fleet_id"] for one in events[-1]["items"]} == {ACME}
    assert again[-1]["items"] == events[-1]["items"]


def _events(client: object, headers: dict[str, str], until: str) -> list[dict]:
    """Bodies of a stream's events up to one of that name."""
    found, name = [], ""
    with client.stream("GET", "/v1/live/stream", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("event:"):
                name = line[6:].strip()
            elif line.startswith("data:"):
                found.append(json.loads(line[5:]))
                if name == until:
                    return found
    return found
