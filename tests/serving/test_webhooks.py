"""Webhooks through the API and a receiver that really listens."""

import asyncio
import hmac
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import msgspec
import psycopg
import pytest

from contracts.settings import WorldSettings
from serving.access.caller import Role
from serving.webhooks.leading import Leading
from stack import world_environment
from tests.builders.consumer_process import wait_until
from tests.builders.serving import fleets_of, live_row, write_live
from tests.serving.conftest import Served

ACME, ZETA = fleets_of("eu")
FAILED = 'webhook_tries_total{outcome="failed"}'
GATE, VAN = "eu-gate", "eu-gate-van-00"
RING = [[7.99, 61.0], [8.01, 61.0], [8.01, 61.1], [7.99, 61.1]]
KINDS = ["zone.entered", "zone.left", "feed.changed"]


class Receiver:
    """An HTTP server of a customer's; `answers` are the statuses that it gives first, 204 afterwards."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.got: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 204)
                self.send_header("location", "http://127.0.0.1:1/")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def events(self) -> list[dict[str, Any]]:
        """What came, each try."""
        return [msgspec.json.decode(body) for _, body in self.got]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture(scope="module")
def operator(served: Served) -> Iterator[httpx.Client]:
    """A fleet of these tests alone, with one van and a zone, and a client of its operator."""
    with psycopg.connect(served.eu.settings.postgres_dsn.get_secret_value(), autocommit=True) as connection:
        connection.execute("insert into registry.fleet (fleet_id, name) values (%s, %s)", (GATE, GATE))
        connection.execute(
            "insert into registry.device (device_id, fleet_id, type) values (%s, %s, 'van')", (VAN, GATE)
        )
    with served.eu.client(served.eu.token(GATE, role=Role.operator)) as client:
        answer = client.post("/v1/zones", json={"fleet_id": GATE, "name": "Gate", "ring": RING})
        assert answer.status_code == 201
        yield client


def made(client: httpx.Client, url: str, *kinds: str) -> dict[str, Any]:
    answer = client.post("/v1/webhooks", json={"fleet_id": GATE, "url": url, "kinds": kinds or KINDS})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_crossing_is_told_signed_once_and_tried_again_until_it_is_taken(
    served: Served, operator: httpx.Client, receiver: Receiver
) -> None:
    webhook = made(operator, receiver.url, "zone.entered", "zone.left")
    number = webhook["webhook"]["webhook_id"]
    turns, failed_before = iter(range(1, 1_000)), served.eu.metric(FAILED)

    def at(lat: float) -> None:
        write_live(served.eu.settings, [live_row(VAN, lat=lat, sequence=next(turns))])

    def good() -> list[str]:
        rows = operator.get(f"/v1/webhooks/{number}/deliveries").json()["items"]
        return [row["kind"] for row in reversed(rows) if row["state"] == "delivered"]

    def said() -> str:
        return str((receiver.events(), good(), served.eu.log[-3:]))

    at(61.3)
    # A redirect is not followed: it is an answer like any other that is not good.
    receiver.answers = [500, 302]
    wait_until(lambda: served.eu.events("serving.webhooks_led") != [], 60, lambda: str(served.eu.log[-3:]))
    at(61.05)
    wait_until(lambda: good() == ["zone.entered"], 90, said)
    at(61.06)
    at(61.3)
    wait_until(lambda: good() == ["zone.entered", "zone.left"], 90, said)
    tries = [event["type"] for event in receiver.events()]
    assert tries == ["zone.entered"] * 3 + ["zone.left"]
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 2
    told = receiver.events()[-1]["data"]
    assert (told["device_id"], told["name"], told["fleet_id"]) == (VAN, "Gate", GATE)
    key = b64decode(webhook["secret"].removeprefix("whsec_"))
    for headers, body in receiver.got:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        assert f"v1,{b64encode(hmac.new(key, signed, sha256).digest()).decode()}" == headers["webhook-signature"]
    assert served.eu.metric(FAILED) >= failed_before + 2  # other tests' webhooks may fail meanwhile
    assert operator.delete(f"/v1/webhooks/{number}").json()["ended_at"] is not None


def test_days_that_were_built_are_told_without_a_name(
    served: Served, operator: httpx.Client, receiver: Receiver
) -> None:
    number = made(operator, receiver.url, "feed.changed")["webhook"]["webhook_id"]
    with psycopg.connect(served.eu.settings.postgres_dsn.get_secret_value(), autocommit=True) as connection:
        connection.execute(
            "insert into ops.applied (target, day, sequence, rows) values ('marts', '2026-10-01', 1, 1)"
            " on conflict (target, day) do update set applied_at = now(), sequence = 2"
        )
    wait_until(lambda: receiver.got != [], 90, lambda: str(served.eu.log[-3:]))
    told = receiver.events()[0]
    assert (told["type"], told["data"]) == ("feed.changed", {"fleet_id": GATE})
    # Who is gone for good is asked no more.
    operator.delete(f"/v1/webhooks/{number}")


def test_a_secret_is_turned_and_a_webhook_ends(operator: httpx.Client) -> None:
    first = made(operator, "http://127.0.0.1:1/")
    number = first["webhook"]["webhook_id"]
    second = operator.post(f"/v1/webhooks/{number}/secret").json()
    assert first["secret"] != second["secret"]
    listed = operator.get("/v1/webhooks", params={"limit": 1000})
    assert second["webhook"] in listed.json()["items"]
    assert second["secret"] not in listed.text
    ended = operator.delete(f"/v1/webhooks/{number}").json()
    assert operator.delete(f"/v1/webhooks/{number}").json() == ended
    assert operator.post(f"/v1/webhooks/{number}/secret").status_code == 404


def test_webhooks_are_their_fleets_operators_alone(served: Served, operator: httpx.Client) -> None:
    number = made(operator, "http://127.0.0.1:1/")["webhook"]["webhook_id"]
    body = {"fleet_id": GATE, "url": "http://127.0.0.1:1/", "kinds": KINDS}
    assert operator.post("/v1/webhooks", json=body | {"fleet_id": ACME}).status_code == 404
    assert operator.post("/v1/webhooks", json=body | {"kinds": ["all"]}).status_code == 400
    assert operator.post("/v1/webhooks", json=body | {"url": "gopher://127.0.0.1/"}).status_code == 400
    with served.eu.client(served.eu.token(GATE)) as viewer:
        assert viewer.get("/v1/webhooks").status_code == 403
        assert viewer.post("/v1/webhooks", json=body).status_code == 403
    with served.eu.client(served.eu.token(ZETA, role=Role.operator)) as other:
        assert other.delete(f"/v1/webhooks/{number}").status_code == 404
        assert other.post(f"/v1/webhooks/{number}/secret").status_code == 404
        assert other.get(f"/v1/webhooks/{number}/deliveries").json()["items"] == []
        assert number not in other.get("/v1/webhooks").text
    operator.delete(f"/v1/webhooks/{number}")


def test_one_leads_and_another_takes_over(served: Served) -> None:
    dsn = WorldSettings.load(world_environment(served.state, {})).postgres_dsn.get_secret_value()
    leaders: list[str] = []

    class Parts:
        def __init__(self, name: str) -> None:
            self.name = name

        async def begin(self) -> None:
            leaders.append(self.name)

        async def look(self) -> None: ...

        async def send_due(self) -> None: ...

        async def close(self) -> None: ...

        async def forget(self) -> None: ...

    def leading(name: str) -> Leading:
        parts: Any = Parts(name)
        return Leading(dsn, "world", parts, lambda: parts, lambda: parts)

    async def run() -> None:
        first = asyncio.create_task(leading("first").run())
        while not leaders:
            await asyncio.sleep(0.1)
        second = asyncio.create_task(leading("second").run())
        await asyncio.sleep(1)
        assert leaders == ["first"]
        first.cancel()
        async with asyncio.timeout(30):
            while len(leaders) == 1:
                await asyncio.sleep(0.1)
        assert leaders == ["first", "second"]
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)

    asyncio.run(run())
