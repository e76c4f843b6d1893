"""Each store away in turn: what needs it is 503 and says so, the rest works and it recovers; SIGTERM drains."""

import contextlib
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.consumer_process import wait_until
from tests.builders.serving import DAY, Service, devices_of, fleets_of, live_row, write_live
from tests.builders.stack import process_of

ACME, _ = fleets_of("eu")
DEVICE = devices_of(ACME)[0]
SPAN = f"from={DAY:%Y-%m-%d}&to={DAY:%Y-%m-%d}"
PATHS = {
    "live": "/v1/live",
    "cells": "/v1/live/cells?zoom=2",
    "records": "/v1/live/records",
    "fleets": "/v1/fleets",
    "trips": f"/v1/devices/{DEVICE}/trips?{SPAN}",
    "trail": f"/v1/devices/{DEVICE}/trail?{SPAN}&limit=10",
}


@pytest.fixture(scope="module")
def service(serving_state: Path) -> Iterator[Service]:
    """A service of its own, which gives up soon."""
    made = Service(serving_state, "eu")
    try:
        yield made.start(store_timeout_s=1, environment={"FLEETLAKE_STORE_TIMEOUT_S": "8"}).ready()
    finally:
        made.kill()


def statuses(service: Service) -> dict[str, int]:
    """Each path's status."""
    found = {}
    with service.client(service.token(ACME)) as client:
        for name, path in PATHS.items():
            answer = client.get(path)
            found[name] = answer.status_code
            if answer.status_code == 503:
                assert int(answer.headers["retry-after"]) > 0
                assert answer.json()["type"] == "urn:fleetlake:problem:store-unavailable"
    return found


@contextlib.contextmanager
def halted(state: Path, name: str) -> Iterator[None]:
    """The store's process does not run on while inside: it accepts connections and never answers."""
    process = process_of(state, name)
    whole = [process, *process.children(recursive=True)]
    for one in whole:
        with contextlib.suppress(ProcessLookupError):
            one.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for one in whole:
            one.send_signal(signal.SIGCONT)


@pytest.mark.parametrize(
    ("store", "away", "works"),
    [
        ("redis", {"records"}, {"live", "cells", "fleets", "trips", "trail"}),
        ("postgres", {"fleets", "trips", "trail"}, {"live", "cells", "records"}),
        ("s3", {"trail"}, {"live", "cells", "records", "fleets", "trips"}),
    ],
)
def test_what_needs_a_store_that_is_away_says_so_and_the_rest_works(
    service: Service, store: str, away: set[str], works: set[str]
) -> None:
    everything = dict.fromkeys(PATHS, 200)
    wait_until(lambda: statuses(service) == everything, 60, lambda: str(statuses(service)))
    with halted(service.state, store):
        found = statuses(service)
        assert {name for name, status in found.items() if status == 503} == away
        assert {name for name, status in found.items() if status == 200} == works
        with service.client() as client:
            names = {"redis": "Redis", "postgres": "Postgres", "s3": "S3"}
            assert client.get("/readyz").json()["stores"][names[store]] is False
            assert client.get("/healthz").status_code == 200
    wait_until(lambda: statuses(service) == everything, 60, lambda: str(statuses(service)))


def test_a_client_that_takes_nothing_is_dropped(service: Service) -> None:
    token = service.token("*")
    before = service.metric("streams")
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        slow.connect(("127.0.0.1", service.port))
        slow.sendall(
            f"GET /v1/live/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode("ascii")
        )
        wait_until(lambda: service.metric("streams") == before + 1, 20, lambda: "the stream does not open")
        # 570 KB in one event: more than the process and the kernel together hold for one who takes nothing.
        write_live(service.settings, [live_row(f"unlisted-{number}") for number in range(6_000)])
        wait_until(lambda: service.metric("streams") == before, 60, lambda: "the stream is still held")
    assert service.client(token).get("/v1/live").status_code == 200


def test_at_sigterm_streams_end_and_the_process_with_them(serving_state: Path) -> None:
    service = Service(serving_state, "eu").start().ready()
    try:
        with (
            service.client(service.token(ACME)) as client,
            client.stream("GET", "/v1/live/stream") as answer,
        ):
            lines = answer.iter_lines()
            next(lines)
            assert service.end(120) == 0
            assert "event: end" in list(lines)
        assert service.events("serving.ended")
    finally:
        service.kill()


def test_processes_share_the_port_and_their_figures(serving_state: Path) -> None:
    service = Service(serving_state, "eu").start(workers=2)
    try:
        wait_until(
            lambda: len(service.events("serving.started")) == 2,
            120,
            lambda: str(service.log),
        )
        service.ready()
        with service.client(service.token(ACME)) as client:
            for _ in range(20):
                assert client.get("/v1/live").status_code == 200
        assert service.metric('requests_total{path="/v1/live",status="200"}') == 20
        assert service.end() == 0
    finally:
        service.kill()
