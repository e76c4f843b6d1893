"""Who is let in: signatures, claims, ends, revocation, roles, rates."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from contracts.errors import BadSettings
from contracts.names import redis_denied
from serving.access.caller import Caller, Role
from serving.access.keys import Keys
from serving.access.rates import Rates
from serving.access.tokens import Tokens
from serving.problems import Forbidden, NotAuthenticated, TooMany
from tests.builders.consumer_process import wait_until
from tests.builders.serving import devices_of, fleets_of
from tests.serving.conftest import Served

ACME, ZETA = fleets_of("eu")
KEY = OKPKey.generate_key("Ed25519", auto_kid=True)


def claims(**other: Any) -> dict[str, Any]:
    now = int(time.time())
    whole = {
        "aud": "fleetlake",
        "iss": "idp",
        "exp": now + 600,
        "regions": ["eu"],
        "fleets": ["a"],
        "jti": "t1",
        **other,
    }
    return {name: value for name, value in whole.items() if value is not None}


def signed(key: Any = KEY, algorithm: str = "Ed25519", **other: Any) -> str:
    return jwt.encode({"alg": algorithm, "kid": key.kid}, claims(**other), key, algorithms=[algorithm])


def key_file(folder: Path, *keys: Any) -> Path:
    file = folder / "jwks.json"
    file.write_text(json.dumps({"keys": [key.as_dict(private=False) for key in keys]}))
    return file


def told(folder: Path, token: str, *keys: Any, issuer: str | None = "idp") -> Caller:
    async def ask() -> Caller:
        found = Keys(str(key_file(folder, *(keys or (KEY,)))), 600)
        await found.open()
        return await Tokens(found, "eu", audience="fleetlake", issuer=issuer, longest_s=3600).caller(token)

    return asyncio.run(ask())


def test_a_token_says_who_and_what(tmp_path: Path) -> None:
    caller = told(tmp_path, signed(fleets=["b", "a", "a"], role="operator", sub="ana"))
    assert (caller.subject, caller.fleets, caller.role, caller.token_id) == ("ana", ("a", "b"), Role.operator, "t1")
    assert told(tmp_path, signed(fleets={"eu": ["x"], "us": ["y"]})).fleets == ("x",)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (ECKey.generate_key("P-256", auto_kid=True), "ES256"),
        (RSAKey.generate_key(2048, auto_kid=True), "RS256"),
    ],
)
def test_the_algorithms_of_providers_are_taken(tmp_path: Path, key: Any, algorithm: str) -> None:
    assert told(tmp_path, signed(key, algorithm), key).token_id == "t1"


@pytest.mark.parametrize(
    "other",
    [
        {"exp": None},
        {"aud": "another"},
        {"iss": "another"},
        {"fleets": None},
        {"regions": None},
        {"fleets": "a"},
        {"role": "root"},
    ],
)
def test_a_token_that_does_not_hold_is_refused(tmp_path: Path, other: dict[str, Any]) -> None:
    with pytest.raises(NotAuthenticated):
        told(tmp_path, signed(**other))


@pytest.mark.parametrize(("claim", "in_s"), [("exp", -1), ("exp", 86_400), ("nbf", 600)])
def test_a_token_of_another_time_is_refused(tmp_path: Path, claim: str, in_s: int) -> None:
    with pytest.raises(NotAuthenticated):
        told(tmp_path, signed(**{claim: int(time.time()) + in_s}))


def test_a_token_of_another_region_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Forbidden):
        told(tmp_path, signed(regions=["us"]))


def test_no_other_key_and_no_symmetric_one_is_believed(tmp_path: Path) -> None:
    stranger = OKPKey.generate_key("Ed25519", auto_kid=True)
    secret = OctKey.import_key(json.dumps(KEY.as_dict(private=False)), {"kid": KEY.kid})
    unsigned = ".".join([*signed().split(".")[:2], ""])
    for token in (signed(stranger), signed(secret, "HS256"), unsigned, "x.y.z", "", "a" * 9_000):
        with pytest.raises(NotAuthenticated):
            told(tmp_path, token)


def test_an_empty_list_of_fleets_sees_nothing(tmp_path: Path) -> None:
    caller = told(tmp_path, signed(fleets=[]))
    assert not caller.may_see("a")
    assert not caller.may_see(None)
    assert not caller.sees_all


@contextmanager
def provider(keys: list[Any]) -> Iterator[tuple[str, list[int]]]:
    """An OIDC provider's key set over HTTP; counts how often it is asked."""
    asked: list[int] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(1)
            body = json.dumps({"keys": [key.as_dict(private=False) for key in keys]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/keys", asked
    finally:
        server.shutdown()


def test_a_provider_may_turn_its_keys_and_may_be_away() -> None:
    keys, new, now = [KEY], OKPKey.generate_key("Ed25519", auto_kid=True), [0.0]

    async def story(url: str, asked: list[int]) -> None:
        found = Keys(url, 600, clock=lambda: now[0])
        await found.open()
        tokens = Tokens(found, "eu", audience="fleetlake", issuer=None, longest_s=3600)
        await tokens.caller(signed())
        keys.append(new)
        with pytest.raises(NotAuthenticated):
            await tokens.caller(signed(new, jti="t2"))  # within the pause between two readings
        now[0] = 30.0
        await tokens.caller(signed(new, jti="t3"))
        assert len(asked) == 2

    async def away(url: str) -> None:
        found = Keys(url, 600, clock=lambda: now[0])
        with pytest.raises(BadSettings, match="FLEETLAKE_SERVING_JWKS"):
            await found.open()

    with provider(keys) as (url, asked):
        asyncio.run(story(url, asked))
    asyncio.run(away(url))


def test_a_bucket_fills_again() -> None:
    now = [0.0]
    rates = Rates(2, clock=lambda: now[0])
    for _ in range(20):
        rates.take("t")
    with pytest.raises(TooMany) as refused:
        rates.take("t")
    assert refused.value.retry_after_s == pytest.approx(0.5)
    rates.take("another")
    now[0] = 0.6
    rates.take("t")


def test_without_a_token_nothing_is_answered(served: Served) -> None:
    with served.eu.client() as client:
        document = client.get("/v1/openapi.json").json()["paths"]
        asked = [(method, path) for path, methods in document.items() if path.startswith("/v1/") for method in methods]
        assert len(asked) > 18
        for method, path in asked:
            named = path.replace("{device_id}", "eu-acme-car-00")
            for name in ("zone_id", "share_id", "webhook_id"):
                named = named.replace(f"{{{name}}}", str(uuid4()))
            answer = client.request(method, named.replace("{", "").replace("}", ""))
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_revoked_token_ends_within_seconds_in_requests_and_streams(served: Served) -> None:
    token, token_id = served.eu.signed(ACME)
    url = served.eu.settings.redis_url.get_secret_value()
    with served.eu.client(token) as client, redis.Redis.from_url(url) as store:
        assert client.get("/v1/fleets").status_code == 200
        with client.stream("GET", "/v1/live/stream") as stream:
            lines = stream.iter_lines()
            next(lines)
            store.zadd(redis_denied("eu"), {token_id: time.time() + 3600})
            assert "event: end" in list(lines)
        wait_until(lambda: client.get("/v1/fleets").status_code == 401, 10, lambda: "still let in")


def test_roles_are_kept_apart(served: Served) -> None:
    device = devices_of(ACME)[2]
    with served.eu.client(served.eu.token(ACME, role=Role.privacy)) as office:
        assert office.get(f"/v1/devices/{device}").status_code == 403
        assert office.get("/v1/live").status_code == 403
        with served.eu.client(served.eu.token(ACME)) as viewer:
            assert viewer.get(f"/v1/devices/{device}/readings").status_code == 403
            assert viewer.get(f"/v1/devices/{device}/days?from=2026-11-02&to=2026-11-02").status_code == 200
            assert viewer.get(f"/v1/devices/{device}/trail?from=2026-11-02&to=2026-11-02").status_code == 200
        readings = office.get(f"/v1/devices/{device}/readings").json()["items"]
        assert office.get(f"/v1/devices/{devices_of(ZETA)[0]}/readings").status_code == 404
    assert [one["what"] for one in readings[:2]] == ["trail", "days"]
    assert readings[0]["subject"] == "tests"
    assert readings[0]["from_ts"] == "2026-11-01T23:00:00Z"
