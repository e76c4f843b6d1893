"""The live stream over a WebSocket."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from serving.access.caller import Role
from tests.builders.serving import devices_of, fleets_of, live_row, write_live
from tests.serving.conftest import Served

ACME, ZETA = fleets_of("eu")
CAR, OTHER = devices_of(ACME)[4], devices_of(ZETA)[4]
TURNS = iter(range(1_000, 2_000))


@contextmanager
def opened(served: Served, **first: Any) -> Iterator[ClientConnection]:
    with connect(f"{served.eu.origin.replace('http', 'ws')}/v1/live/socket", open_timeout=60) as socket:
        socket.send(json.dumps(first))
        yield socket


def until(socket: ClientConnection, name: str) -> dict[str, Any]:
    """The next event of that name."""
    while True:
        event = json.loads(socket.recv(timeout=60))
        if event["event"] == name:
            return event


def move(served: Served, *devices: str, lat: float) -> None:
    write_live(served.eu.settings, [live_row(one, lat=lat, sequence=next(TURNS)) for one in devices])


def closed(socket: ClientConnection) -> tuple[int, str]:
    """The code and the reason with which the service closes it."""
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            socket.recv(timeout=60)
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


def test_it_says_what_changes_of_the_tokens_fleets_alone(served: Served) -> None:
    with opened(served, token=served.eu.token(ACME)) as socket:
        until(socket, "hello")
        move(served, OTHER, lat=51.5)
        move(served, CAR, lat=52.5)
        event = until(socket, "devices")
    assert [(one["device_id"], one["lat"]) for one in event["data"]["items"]] == [(CAR, 52.5)]
    with opened(served, token=served.eu.token(ACME), since="0-0") as socket:
        event = until(socket, "devices")
    assert {one["device_id"] for one in event["data"]["items"]} >= set(devices_of(ACME))
    assert ZETA not in json.dumps(event)


def test_what_is_watched_is_changed_without_a_new_connection(served: Served) -> None:
    with opened(served, token=served.eu.token(ACME), bbox="0,60,20,61") as socket:
        until(socket, "hello")
        move(served, CAR, lat=52.6)
        socket.send(json.dumps({"bbox": "0,52,20,53"}))
        move(served, CAR, lat=52.7)
        event = until(socket, "devices")
    assert [one["device_id"] for one in event["data"]["items"]] == [CAR]


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ({}, 4401),
        ({"token": "a.b.c"}, 4401),
        ({"token": None, "bbox": "1"}, 4401),
        ({"colour": "red"}, 4400),
        ([], 4400),
    ],
)
def test_what_cannot_be_answered_closes_with_the_problems_status(served: Served, first: Any, code: int) -> None:
    with connect(f"{served.eu.origin.replace('http', 'ws')}/v1/live/socket", open_timeout=60) as socket:
        socket.send(json.dumps(first))
        found, reason = closed(socket)
    assert found == code
    assert reason


def test_roles_boxes_and_later_messages_are_checked_too(served: Served) -> None:
    with opened(served, token=served.eu.token(ACME, role=Role.privacy)) as socket:
        assert closed(socket)[0] == 4403
    with opened(served, token=served.eu.token(ACME), bbox="1,2,3") as socket:
        assert closed(socket)[0] == 4400
    with opened(served, token=served.eu.token(ACME)) as socket:
        until(socket, "hello")
        socket.send(json.dumps({"token": served.eu.token(ZETA)}))
        assert closed(socket)[0] == 4400
    with opened(served, token=served.eu.token(ACME)) as socket:
        until(socket, "hello")
        socket.send("x" * 20_000)
        assert closed(socket)[0] == 4400
