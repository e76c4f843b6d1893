"""JWTs: by the device's own key, for it alone, for a bounded time; and nothing else passes."""

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.jwt import check_jwt, is_jwt, public_key
from gateway.refusals import Refused

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
EC, ED = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
FORM = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
KEYS = [public_key(key.public_key().public_bytes(*FORM).decode()) for key in (EC, ED)]


def part(value: Any) -> bytes:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(data).rstrip(b"=")


def jwt(alg: str = "ES256", by: Any = EC, **claims: Any) -> bytes:
    body = {"exp": (NOW + timedelta(hours=1)).timestamp(), "sub": "d1", "aud": "eu", **claims}
    signed = part({"alg": alg, "typ": "JWT"}) + b"." + part({k: v for k, v in body.items() if v is not None})
    if isinstance(by, ed25519.Ed25519PrivateKey):
        return signed + b"." + part(by.sign(signed))
    numbers = decode_dss_signature(by.sign(signed, ec.ECDSA(hashes.SHA256())))
    return signed + b"." + part(b"".join(number.to_bytes(32) for number in numbers))


def check(token: bytes) -> datetime:
    return check_jwt(token, "d1", "eu", KEYS, NOW)


@pytest.mark.parametrize("token", [jwt(), jwt("EdDSA", ED), jwt(sub=None, aud=None)], ids=["ES256", "EdDSA", "bare"])
def test_a_token_by_a_key_of_the_device_holds_until_its_exp(token: bytes) -> None:
    assert is_jwt(token)
    assert check(token) == NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (jwt(by=ec.generate_private_key(ec.SECP256R1())), "no key of the device"),
        (jwt("EdDSA", EC), "no key of the device"),
        (jwt("none"), "no key of the device"),
        (jwt("HS256"), "no key of the device"),
        (jwt().rpartition(b".")[0] + b".", "no key of the device"),
        (jwt(sub="d2"), "another device"),
        (jwt(aud="us"), "another device or region"),
        (jwt(exp=NOW.timestamp()), "expired"),
        (jwt(nbf=(NOW + timedelta(hours=1)).timestamp()), "does not hold yet"),
        (jwt(exp=(NOW + timedelta(days=2)).timestamp()), "longer than 24 h"),
        (jwt(exp=None), "no exp"),
        (jwt(exp=1e300), "does not decode"),
        (b"a.b.c", "does not decode"),
        (b"a" * 5_000 + b"..", "too long"),
    ],
)
def test_any_other_is_refused_with_its_reason(token: bytes, why: str) -> None:
    with pytest.raises(Refused, match=why):
        check(token)


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_token_is_refused(place: int, byte: int) -> None:
    token = bytearray(jwt())
    end = token.rindex(b".")
    place %= end
    if token[place] == byte:
        return
    token[place] = byte
    with pytest.raises(Refused):
        check(bytes(token))


def test_other_kinds_of_keys_are_not_registered() -> None:
    weak = rsa.generate_private_key(65_537, 2_048).public_key().public_bytes(*FORM).decode()
    for text in (weak, "no key"):
        with pytest.raises(ValueError):
            public_key(text)
