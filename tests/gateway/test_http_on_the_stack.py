"""POST /v1/telemetry: 202 once the stream has it, and a status of its own for everything else."""

import base64
import gzip
import json
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gateway.identity.laptop import device_files, fleet_authority, folder_of
from tests.builders.consumer_process import wait_until
from tests.builders.gateway import client_tls, on_stream, post, telemetry
from tests.gateway.conftest import Ground

JSON = "application/json"


def send(ground: Ground, device: str, token: str, body: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
    named = {"Content_Type": JSON, "Authorization": f"Bearer {device}:{token}", **headers}
    return post(ground.gateway, body, **named)


def raw(ground: Ground, data: bytes, *, then: bytes = b"", wait_s: float = 0.0) -> bytes:
    """Everything that the server answers to these bytes."""
    made = socket.create_connection(("127.0.0.1", ground.gateway.port("http")), timeout=20)
    with ground.gateway.trust().wrap_socket(made, server_hostname="localhost") as secure:
        secure.sendall(data)
        time.sleep(wait_s)
        secure.sendall(then)
        answer = b""
        try:
            while piece := secure.recv(65_536):
                answer += piece
        except (ConnectionError, ssl.SSLError):
            pass
        return answer


def test_202_means_on_the_stream(ground: Ground) -> None:
    token = ground.device("web")
    records = [telemetry("web", number) for number in range(9)]
    assert send(ground, "web", token, records[0]) == (202, {"accepted": 1})
    assert send(ground, "web", token, b"[" + b",".join(records[1:3]) + b"]") == (202, {"accepted": 2})
    lines = b"\n".join(records[3:5])
    assert send(ground, "web", token, lines, Content_Type="application/x-ndjson") == (202, {"accepted": 2})
    packed = gzip.compress(b"\n".join(records[5:7]))
    assert send(ground, "web", token, packed, Content_Encoding="gzip") == (202, {"accepted": 2})
    packed = pa.compress(b"\n".join(records[7:]), codec="zstd", asbytes=True)
    assert send(ground, "web", token, packed, Content_Encoding="zstd") == (202, {"accepted": 2})
    assert [data for data in on_stream(ground.settings) if b'"web"' in data] == records


def test_a_certificate_or_basic_authentication_does_too(ground: Ground, tmp_path: Path) -> None:
    authority = fleet_authority(folder_of(ground.settings.state, "eu"), "acme")
    tls = client_tls(ground.gateway, *device_files(tmp_path, authority, "web-cert"))
    assert post(ground.gateway, telemetry("web-cert"), tls, Content_Type=JSON)[0] == 202
    token = ground.device("web-basic")
    basic = base64.b64encode(f"web-basic:{token}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Content_Type": JSON}
    assert post(ground.gateway, telemetry("web-basic"), **headers)[0] == 202


def test_207_says_which_records_were_refused(ground: Ground) -> None:
    token = ground.device("mixed")
    good = telemetry("mixed", 1)
    body = b"[" + b",".join([good, telemetry("other", 2), b"{}", b'"text"']) + b"]"
    status, document = send(ground, "mixed", token, body)
    assert (status, document["accepted"]) == (207, 1)
    assert [(one["index"], one["reason"]) for one in document["refused"]] == [
        (1, "other_device"),
        (2, "bad_payload"),
        (3, "bad_payload"),
    ]
    assert [data for data in on_stream(ground.settings) if b"mixed" in data] == [good]


def test_each_refusal_has_its_status(ground: Ground) -> None:
    token = ground.device("strict")
    record = telemetry("strict")

    def status(body: bytes = record, **headers: str) -> int:
        return send(ground, "strict", token, body, **headers)[0]

    assert status(Authorization="Bearer strict:wrong") == 401
    assert post(ground.gateway, record, Content_Type=JSON)[0] == 401
    assert status(telemetry("another")) == 403
    assert status(b"no json") == 400
    assert status(b"") == 400
    assert status(b"[" * 60_000) == 400
    assert status(Content_Type="application/x-www-form-urlencoded") == 415
    assert status(Content_Encoding="br") == 415
    assert status(Content_Encoding="gzip") == 400
    assert status(b" " * (1 << 20) + record) == 413
    assert status(gzip.compress(b" " * (30 << 20)), Content_Encoding="gzip") == 413
    assert send(ground, "strict", token, record)[0] == 202


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /elsewhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404),
        (b"GET /v1/telemetry HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 405),
        (b"GET /" + b"a" * 6_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: " + b"a" * 9_000 + b"\r\n\r\n", 431),
        (b"nonsense\r\n\r\n", 400),
        (b"POST /v1/telemetry HTTP/1.1\r\nHost: a\r\n", 408),
    ],
    ids=["unknown path", "wrong method", "long path", "long header", "no HTTP", "a head that does not end"],
)
def test_heads_that_are_too_long_too_slow_or_wrong(ground: Ground, head: bytes, status: int) -> None:
    assert int(raw(ground, head).split()[1]) == status


def test_a_body_that_does_not_come_is_408(ground: Ground) -> None:
    token = ground.device("slow")
    head = f"POST /v1/telemetry HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer slow:{token}\r\nContent-Length: 9\r\n\r\n"
    assert raw(ground, head.encode() + b"{").startswith(b"HTTP/1.1 408")


def test_expect_100_is_answered_before_the_body(ground: Ground) -> None:
    token, body = ground.device("expects"), telemetry("expects")
    head = (
        f"POST /v1/telemetry HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer expects:{token}\r\n"
        f"Expect: 100-continue\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    answer = raw(ground, head.encode(), then=body, wait_s=0.2)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202")


def test_too_fast_is_429(ground: Ground) -> None:
    gateway = ground.start(device_messages_s=0.2, source_failures_min=10_000)
    token = ground.device("hasty")
    headers = {"Authorization": f"Bearer hasty:{token}", "Content_Type": JSON}
    codes = [post(gateway, telemetry("hasty", number), **headers)[0] for number in range(4)]
    assert codes == [202, 202, 429, 429]


def test_health_and_metrics(ground: Ground) -> None:
    token = ground.device("measured")
    before = ground.gateway.metric("acknowledged_total")
    send(ground, "measured", token, telemetry("measured"))
    assert ground.gateway.metric("acknowledged_total") == before + 1
    assert (ground.gateway.health()["ready"], ground.gateway.health()["hub_up"]) == (True, True)
    assert json.loads(ground.gateway.page("/readyz"))["draining"] is False
    wait_until(lambda: ground.gateway.health()["connections"] <= 3, 10)


@pytest.mark.parametrize("word", ["Bearer", "Basic ====", "Digest x", "Bearer nobody"])
def test_a_header_that_says_nothing_is_401(ground: Ground, word: str) -> None:
    assert post(ground.gateway, b"{}", Authorization=word)[0] == 401
