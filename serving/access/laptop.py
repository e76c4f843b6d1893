"""An issuer of this machine, for trying the API out: in production tokens come from the operator's OIDC provider."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import msgspec
from joserfc import jwt
from joserfc.jwk import OKPKey

from serving.access.caller import Role

ISSUER = "fleetlake-laptop"
_KEY, _SET = "issuer.jwk", "jwks.json"


def key_set(state: Path) -> Path:
    """The file with the issuer's public key, made at the first call."""
    _key(state)
    return state / "serving" / _SET


def sign(
    state: Path, *, regions: Sequence[str], fleets: Sequence[str], role: Role, hours: float, subject: str, audience: str
) -> tuple[str, str]:
    """A token and its id."""
    now, token_id = int(time.time()), uuid4().hex
    claims = {
        "iss": ISSUER,
        "aud": audience,
        "sub": subject,
        "jti": token_id,
        "iat": now,
        "exp": now + int(hours * 3600),
        "regions": list(regions),
        "fleets": list(fleets),
        "role": role.value,
    }
    key = _key(state)
    return jwt.encode({"alg": "Ed25519", "kid": key.kid}, claims, key, algorithms=["Ed25519"]), token_id


def _key(state: Path) -> OKPKey:
    folder = state / "serving"
    private = folder / _KEY
    if not private.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = OKPKey.generate_key("Ed25519", auto_kid=True)
        public = msgspec.json.encode({"keys": [made.as_dict(private=False) | {"use": "sig", "alg": "Ed25519"}]})
        (folder / _SET).write_bytes(public)
        _write_private(private, msgspec.json.encode(made.as_dict(private=True)))
    return OKPKey.import_key(msgspec.json.decode(private.read_bytes()))


def _write_private(file: Path, content: bytes) -> None:
    """Whole or not at all, readable by its owner alone."""
    new = file.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
    new.replace(file)
