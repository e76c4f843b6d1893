"""Which device and which fleet CA a client certificate names. TLS has checked its chain and its dates."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from gateway.identity.model import FleetCa
from gateway.refusals import Refusal, Refused

MOST_REMEMBERED = 50_000


@dataclass(frozen=True, slots=True)
class Presented:
    """What a certificate says: the device, who issued it, until when it holds; and its names when it is revoked."""

    device_id: str
    ca_id: str
    expires_at: datetime
    names: frozenset[str] = frozenset()
    """SHA-256 of its DER, and its serial number, in hex."""


class Certificates:
    """Reads client certificates; remembers what it found, so that a signature is checked once."""

    def __init__(self) -> None:
        self._found: OrderedDict[bytes, Presented] = OrderedDict()
        self._cas: dict[str, x509.Certificate] = {}

    def read(self, der: bytes, cas: Sequence[FleetCa]) -> Presented:
        """The device and its CA. Raises Refused where no registered CA issued it, or it names no device."""
        digest = sha256(der).digest()
        known = {ca.ca_id for ca in cas}
        found = self._found.get(digest)
        if found is None or found.ca_id not in known:
            found = self._read(der, cas)
            self._found[digest] = found
            while len(self._found) > MOST_REMEMBERED:
                self._found.popitem(last=False)
        return found

    def _read(self, der: bytes, cas: Sequence[FleetCa]) -> Presented:
        try:
            certificate = x509.load_der_x509_certificate(der)
            names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        except ValueError:
            raise Refused(Refusal.BAD_CREDENTIAL, "the certificate cannot be read") from None
        if len(names) != 1:
            raise Refused(Refusal.BAD_CREDENTIAL, "the certificate's subject has no common name, or several")
        for ca in cas:
            if self._issued(certificate, ca):
                called = frozenset({sha256(der).hexdigest(), f"{certificate.serial_number:x}"})
                return Presented(str(names[0].value), ca.ca_id, certificate.not_valid_after_utc, called)
        raise Refused(Refusal.UNKNOWN_CA, "no fleet CA of this region issued the certificate")

    def _issued(self, certificate: x509.Certificate, ca: FleetCa) -> bool:
        authority = self._cas.get(ca.ca_id)
        if authority is None:
            authority = x509.load_pem_x509_certificate(ca.certificate.encode())
            self._cas[ca.ca_id] = authority
        if certificate.issuer != authority.subject:
            return False
        try:
            certificate.verify_directly_issued_by(authority)
        except (InvalidSignature, ValueError, TypeError):
            return False
        return True
