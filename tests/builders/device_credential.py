"""How one device shows who it is, in the forms that client libraries and programs take."""

import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DeviceCredential:
    """A token, or a certificate with its key; `ca` is what the client trusts."""

    device: str
    ca: Path
    token: str | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def user(self) -> str | None:
        """The user name that goes with the token."""
        return None if self.token is None else self.device

    def tls(self) -> ssl.SSLContext:
        """The client's side of TLS."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        return context
