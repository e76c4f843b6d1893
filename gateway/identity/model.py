"""What the registry says of a device, and who a connection turned out to be."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Access(StrEnum):
    """States of a device's access."""

    ACTIVE = "active"
    PENDING = "pending"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Token:
    """A token's keyed hash, and until when it holds."""

    hash: bytes
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class KnownDevice:
    """A device of the registry. messages_s: overrides of the gateway's limits."""

    device_id: str
    fleet_id: str
    access: Access
    tokens: tuple[Token, ...] = ()
    keys: tuple[str, ...] = ()
    """Public keys of its JWTs, PEM."""
    revoked: frozenset[str] = frozenset()
    """Its certificates that are revoked, by SHA-256 or serial number."""
    speaks_for: frozenset[str] = frozenset()
    messages_s: float | None = None
    fleet_messages_s: float | None = None


@dataclass(frozen=True, slots=True)
class FleetCa:
    """A certificate authority that vouches for a fleet's devices. provisioning: what happens to unknown ones."""

    ca_id: str
    fleet_id: str
    certificate: str
    provisioning: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a connection is, and by which credential: it ends with the credential."""

    device: KnownDevice
    ca_id: str | None = None
    token: Token | None = None
    certificate: frozenset[str] = frozenset()
    """SHA-256 and serial number of its certificate, in hex."""
    by_key: bool = False
    """Whether a JWT spoke for it."""
    expires_at: datetime | None = None

    @property
    def device_id(self) -> str:
        """The device."""
        return self.device.device_id

    def may_speak_for(self, device_id: str) -> bool:
        """Whether it is that device, or a concentrator of it."""
        return device_id == self.device.device_id or device_id in self.device.speaks_for
