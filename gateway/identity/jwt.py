"""JSON Web Tokens by a key that is registered for the device: ES256 or Ed25519 (RFC 7519, 7518, 8037)."""

import binascii
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from gateway.refusals import Refusal, Refused

LONGEST = timedelta(hours=24)
"""A token that holds longer is refused: it cannot be called back one by one."""
SKEW = timedelta(minutes=5)
MOST_BYTES = 4_096
_HALF = 32
"""Bytes of each number of an ES256 signature."""
_SEPARATOR = b"."


class _Header(msgspec.Struct):
    alg: str


class _Claims(msgspec.Struct):
    exp: float
    sub: str | None = None
    aud: str | None = None
    nbf: float = 0.0


def is_jwt(secret: bytes) -> bool:
    """Whether a password has a JWT's form; a device token has no dot."""
    return secret.count(_SEPARATOR) == 2  # noqa: PLR2004


def check_jwt(token: bytes, device_id: str, region: str, keys: Sequence[str], now: datetime) -> datetime:
    """Until when the token holds. Raises Refused where no key signed it, or it is another's, too old, or too long.

    `sub`, where there is one, is the device; `aud`, where there is one, is the region.
    """
    if len(token) > MOST_BYTES:
        raise _bad("it is too long")
    signed, _, signature = token.rpartition(_SEPARATOR)
    head, _, body = signed.partition(_SEPARATOR)
    try:
        header = msgspec.json.decode(_decoded(head), type=_Header)
        claims = msgspec.json.decode(_decoded(body), type=_Claims)
        ends = datetime.fromtimestamp(claims.exp, UTC)
        begins = datetime.fromtimestamp(claims.nbf, UTC)
        proof = _decoded(signature)
    except (msgspec.MsgspecError, binascii.Error, ValueError, OverflowError, OSError, RecursionError):
        raise _bad("it does not decode, or has no exp") from None
    if not any(_is_signed(header.alg, key, signed, proof) for key in keys):
        raise _bad("no key of the device signed it by ES256 or EdDSA")
    if claims.sub not in (None, device_id) or claims.aud not in (None, region):
        raise _bad("it is of another device or region")
    if ends <= now or begins > now + SKEW:
        raise _bad("it has expired or does not hold yet; check the device's clock")
    if ends > now + LONGEST + SKEW:
        raise _bad(f"it holds longer than {LONGEST.total_seconds() / 3600:.0f} h from now; check the device's clock")
    return ends


def public_key(text: str) -> str:
    """A public key in PEM that can sign here. Raises ValueError."""
    key = serialization.load_pem_public_key(text.encode())
    is_p256 = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    if not (is_p256 or isinstance(key, ed25519.Ed25519PublicKey)):
        raise ValueError("neither P-256 nor Ed25519")
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode()


def _is_signed(algorithm: str, key_text: str, signed: bytes, proof: bytes) -> bool:
    """Whether the key signed it. The key says which algorithm may be named, never the token alone."""
    key = serialization.load_pem_public_key(key_text.encode())
    try:
        if algorithm == "EdDSA" and isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(proof, signed)
            return True
        if algorithm == "ES256" and isinstance(key, ec.EllipticCurvePublicKey) and len(proof) == 2 * _HALF:
            numbers = int.from_bytes(proof[:_HALF]), int.from_bytes(proof[_HALF:])
            key.verify(encode_dss_signature(*numbers), signed, ec.ECDSA(hashes.SHA256()))
            return True
    except InvalidSignature:
        pass
    return False


def _decoded(part: bytes) -> bytes:
    return urlsafe_b64decode(part + b"=" * (-len(part) % 4))


def _bad(what: str) -> Refused:
    return Refused(Refusal.BAD_CREDENTIAL, f"the JWT is refused: {what}")
