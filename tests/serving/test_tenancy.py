"""Nobody sees another fleet's devices: over every path of the OpenAPI document, with any token and any parameters."""

import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.access.caller import Role
from tests.builders.serving import DAY, devices_of, fleets_of, trip_of
from tests.serving.conftest import Served

ACME, ZETA = fleets_of("eu")
STREAM = "/v1/live/stream"
RING = [[7.9, 49.9], [8.1, 49.9], [8.1, 52.0], [7.9, 52.0]]
SHARED = "/v1/shared"
"""Takes a guest's secret, and no token."""
EXPECTED = {200, 201, 400, 403, 404}
"""What requests that are well formed are answered with."""
MALFORMED = {405, 413, 415, 422}
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
_IDS = [*devices_of(ACME)[:2], *devices_of(ZETA)[:2], "nobody"]
_VALUES = {
    "device_id": st.sampled_from(_IDS),
    "fleet_id": st.sampled_from([ACME, ZETA, "none"]),
    "trip_id": st.sampled_from([*(trip_of(device) for device in _IDS), "x"]),
    "fleet": st.sampled_from([ACME, ZETA, "none", "*"]),
    "from": st.just(f"{DAY:%Y-%m-%d}"),
    "to": st.just(f"{DAY:%Y-%m-%d}"),
    "q": st.sampled_from(["car", "zeta", "%", "_"]),
    "bbox": st.sampled_from(["-180,-90,180,90", "7,49,9,53"]),
    "near": st.sampled_from(["50,8", "51,8"]),
    "radius_m": st.just(500_000),
    "zoom": st.integers(0, 12),
    "limit": st.integers(1, 1_000),
    "status": st.sampled_from(["moving", "idle", "off"]),
    "format": st.sampled_from(["json", "jsonl", "csv", "geojson", "gpx"]),
    "after": st.sampled_from([*_IDS, f"{DAY:%Y-%m-%d}", "0"]),
}
"""What parameters are given; others are left out."""


_BODIES = {
    "/v1/webhooks": st.fixed_dictionaries(
        {
            "fleet_id": st.sampled_from([ACME, ZETA, "none"]),
            "url": st.just("https://example.invalid/"),
            "kinds": st.just(["feed.changed"]),
        }
    ),
    "/v1/zones": st.fixed_dictionaries(
        {"fleet_id": st.sampled_from([ACME, ZETA, "none"]), "name": st.just("zone"), "ring": st.just(RING)}
    ),
    "/v1/shares": st.fixed_dictionaries(
        {
            "name": st.just("link"),
            "devices": st.lists(st.sampled_from(_IDS), min_size=1, max_size=3),
            "valid_to": st.just(f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"),
        }
    ),
}


class Operation(NamedTuple):
    """A method of a path of the document."""

    method: str
    path: str
    parameters: list[dict[str, Any]]
    has_body: bool


class Asked(NamedTuple):
    """A request."""

    method: str
    path: str
    query: dict[str, Any]
    body: dict[str, Any] | None


def _operations(served: Served) -> list[Operation]:
    with served.eu.client() as client:
        document = client.get("/v1/openapi.json").json()
    return [
        Operation(method, path, one.get("parameters", []), "requestBody" in one)
        for path, methods in document["paths"].items()
        for method, one in methods.items()
    ]


@st.composite
def _requests(draw: st.DrawFn, operations: list[Operation], zones: list[str]) -> Asked:
    method, path, parameters, has_body = draw(st.sampled_from(operations))
    body = draw(_BODIES[path]) if has_body else None
    query = {}
    path = path.replace("{zone_id}", draw(st.sampled_from(zones))).replace("{share_id}", str(uuid4()))
    path = path.replace("{webhook_id}", str(uuid4()))
    if any(one["name"] == "zone" for one in parameters) and draw(st.booleans()):
        query["zone"] = draw(st.sampled_from(zones))
    for one in parameters:
        if one["name"] not in _VALUES or not (one.get("required") or draw(st.booleans())):
            continue
        value = draw(_VALUES[one["name"]])
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", str(value))
        else:
            query[one["name"]] = value
    return Asked(method, path, query, body)


def _zone_of(served: Served, fleet: str) -> str:
    with served.eu.client(served.eu.token(fleet, role=Role.operator)) as client:
        answer = client.post("/v1/zones", json={"fleet_id": fleet, "name": f"of {fleet}", "ring": RING})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["zone_id"])


def test_no_answer_names_a_device_of_another_fleet(served: Served) -> None:
    operations = [one for one in _operations(served) if one.path != STREAM]
    assert len(operations) >= 18
    tokens = [
        served.eu.token(*fleets, role=role)
        for fleets in ((ACME,), ("none",), (), (ACME, "none"))
        for role in (Role.viewer, Role.operator, Role.privacy)
    ]
    foreign = _zone_of(served, ZETA)
    zones = [_zone_of(served, ACME), foreign, str(uuid4())]
    told = {"answers": 0, "found": 0}

    @given(request=_requests(operations, zones), token=st.sampled_from(tokens))
    @settings(max_examples=300, deadline=None, suppress_health_check=QUIET)
    def ask(request: Asked, token: str) -> None:
        method, path, query, body = request
        headers = {"Authorization": f"Bearer {token}"}
        answer = client.request(method, path, params=query, json=body, headers=headers)
        whole = answer.text + str(answer.headers)
        assert answer.status_code in ({401} if path == SHARED else EXPECTED), (request, answer.text)
        assert ZETA not in whole, request
        told["answers"] += 1
        told["found"] += answer.status_code in (200, 201)

    with httpx.Client(base_url=served.eu.origin, timeout=60) as client:
        ask()
        kept = client.get(f"/v1/zones/{foreign}", headers={"Authorization": f"Bearer {served.eu.token(ZETA)}"}).json()
    assert kept["valid_to"] is None
    assert told["found"] > 30, told


def test_a_stream_names_no_device_of_another_fleet(served: Served) -> None:
    text = ""
    with (
        served.eu.client(served.eu.token(ACME)) as client,
        client.stream("GET", STREAM, headers={"Last-Event-ID": "0-0"}) as answer,
    ):
        for line in answer.iter_lines():
            text += line
            if line.startswith("data:") and "items" in line:
                break
    assert ACME in text
    assert ZETA not in text


def test_another_fleets_device_is_answered_like_one_that_does_not_exist(served: Served) -> None:
    foreign, nobody = devices_of(ZETA)[0], "eu-nobody-car-00"
    with served.eu.client(served.eu.token(ACME)) as client:
        for path in ("", "/trail?from=2026-11-02&to=2026-11-02", "/trips?from=2026-11-02&to=2026-11-02"):
            one, other = (client.get(f"/v1/devices/{device}{path}") for device in (foreign, nobody))
            assert (one.status_code, one.content) == (other.status_code, other.content) == (404, other.content)
        trips = [client.get(f"/v1/trips/{trip_of(device)}") for device in (foreign, nobody)]
        assert trips[0].content == trips[1].content
        times: dict[str, list[float]] = {foreign: [], nobody: []}
        for _ in range(60):
            for device, taken in times.items():
                began = time.perf_counter()
                client.get(f"/v1/devices/{device}")
                taken.append(time.perf_counter() - began)
    first, second = (statistics.median(taken) for taken in times.values())
    assert max(first, second) < 2 * min(first, second)


def test_a_token_of_one_region_gets_nothing_of_the_other(served: Served) -> None:
    fleets = (*fleets_of("eu"), *fleets_of("us"))
    token = served.eu.token(*fleets, "*", regions=["eu"])
    with served.us.client(token) as client:
        for path in ("/v1/live", "/v1/devices", "/v1/fleets", f"/v1/devices/{devices_of('us-acme')[0]}"):
            answer = client.get(path)
            assert answer.status_code == 403
            assert "us-acme" not in answer.text
    with served.eu.client(token) as client:
        assert client.get("/v1/live").json()["total"] >= 12
        assert "us-" not in client.get("/v1/live?limit=1000").text


def test_whatever_is_asked_no_answer_is_500(served: Served) -> None:
    schema = schemathesis.openapi.from_url(f"{served.eu.origin}/v1/openapi.json")
    token = served.eu.token(ACME, role=Role.operator)
    asked = 0

    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path == STREAM:
            continue

        @given(case=operation.as_strategy())
        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
        def call(case: Any) -> None:
            answer = case.call(base_url=served.eu.origin, headers={"Authorization": f"Bearer {token}"})
            expected = {401, 405} if case.operation.path == SHARED else EXPECTED | MALFORMED
            assert answer.status_code in expected, (case.method, case.path, case.query, answer.text)

        call()
        asked += 1
    assert asked >= 18
