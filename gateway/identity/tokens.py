"""Device tokens: 256 random bits, kept as a keyed hash."""

import hmac
import secrets
from hashlib import sha256

TOKEN_BYTES = 32


def new_token() -> str:
    """A new secret, as text for a password or a bearer."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def token_hash(key: str, device_id: str, token: bytes) -> bytes:
    """What the registry keeps. The device is part of it, so that a row cannot be given to another device."""
    return hmac.digest(key.encode(), device_id.encode() + b"\0" + token, sha256)


def equal(one: bytes, other: bytes) -> bool:
    """Comparison in constant time."""
    return hmac.compare_digest(one, other)
