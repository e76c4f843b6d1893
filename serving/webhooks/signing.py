"""How a delivery is signed, so that a customer believes it: Standard Webhooks 1.0.0 (standardwebhooks.com).

The secret is derived of the region's key, the webhook's id and a generation that turning it raises. None is stored.
"""

import hmac
from base64 import b64encode
from hashlib import sha256
from uuid import UUID

_PREFIX = "whsec_"
_PURPOSE = b"fleetlake webhook 1"


def secret_of(key: bytes, webhook: UUID, generation: int) -> bytes:
    """What deliveries of that webhook are signed with."""
    return hmac.digest(key, b"%s %s %d" % (_PURPOSE, webhook.bytes, generation), sha256)


def shown(secret: bytes) -> str:
    """The secret as a customer keeps it, and as libraries of Standard Webhooks take it."""
    return _PREFIX + b64encode(secret).decode()


def headers_of(event: UUID, at_s: int, body: bytes, secrets: list[bytes]) -> dict[str, str]:
    """The headers of a delivery: one signature of each secret that holds."""
    signed = b"%s.%d.%s" % (str(event).encode(), at_s, body)
    signatures = " ".join("v1," + b64encode(hmac.digest(secret, signed, sha256)).decode() for secret in secrets)
    return {
        "content-type": "application/json",
        "webhook-id": str(event),
        "webhook-timestamp": str(at_s),
        "webhook-signature": signatures,
    }
