"""Keyed hashes that stand for people and devices where no name may be kept (GDPR Art. 4(5), 32(1)(a))."""

import hmac
from hashlib import sha256

from pydantic import SecretStr

SUPPRESSION, AUDIT, REQUESTS, EVIDENCE = "suppression", "audit", "requests", "evidence"
"""Purposes: what is hashed for one cannot be compared with what is hashed for another."""


def key_for(region_key: SecretStr, purpose: str) -> bytes:
    """The key of one purpose, made of the region's (FLEETLAKE_RELEASE_KEY)."""
    return hmac.digest(region_key.get_secret_value().encode(), f"fleetlake/{purpose}".encode(), sha256)


def keyed_hash(key: bytes, name: str) -> bytes:
    """HMAC-SHA-256 of a name: 32 bytes."""
    return hmac.digest(key, name.encode(), sha256)
