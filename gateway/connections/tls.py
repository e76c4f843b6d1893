"""The server's TLS: 1.2 and 1.3, client certificates of the registered fleet CAs welcome, none required."""

import ssl
from collections.abc import Sequence
from pathlib import Path

from contracts.errors import BadSettings
from gateway.identity.model import FleetCa


class Tls:
    """The context of new connections. It is made anew when the fleet CAs change; open connections keep theirs."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises BadSettings where the files are no certificate and its key."""
        self._certificate, self._key = certificate, key
        self.context = self._make([])

    def trust(self, cas: Sequence[FleetCa]) -> None:
        """Accept client certificates of these CAs from now on."""
        self.context = self._make(cas)

    def _make(self, cas: Sequence[FleetCa]) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self._certificate, self._key)
        except (OSError, ssl.SSLError) as error:
            raise BadSettings(
                f"FLEETLAKE_GATEWAY_CERTIFICATE and _KEY: {self._certificate} is no certificate with its key ({error})"
            ) from None
        if cas:
            context.verify_mode = ssl.CERT_OPTIONAL
            context.load_verify_locations(cadata="\n".join(ca.certificate for ca in cas))
        return context
