"""Settings of device access: where it listens, who it believes, and its limits. Every limit is on by default."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, SecretStr, model_validator


class GatewaySettings(BaseModel):
    """FLEETLAKE_GATEWAY_*, for each process of the gateway."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """The address that devices connect to; 0.0.0.0 is every interface."""
    mqtt_port: int = Field(default=8883, ge=0, le=65535)
    """MQTT over TLS; 0 picks a free port."""
    http_port: int = Field(default=8443, ge=0, le=65535)
    """HTTP over TLS; 0 picks a free port."""
    plain_port: int | None = Field(default=None, ge=0, le=65535)
    """MQTT without TLS, on 127.0.0.1 alone; unset is none."""
    certificate: Path | None = None
    """The server's certificate with its chain, PEM."""
    key: Path | None = None
    """Its private key, PEM."""
    credential_key: SecretStr | None = None
    """Key of the HMAC that tokens are kept as."""

    shapes: Path | None = None
    """A file of topics, paths and mappings, TOML, for devices that do not speak the contract's own; unset is none."""

    connections: int = Field(default=20_000, ge=1)
    """Connections of one process; more are refused before TLS."""
    handshakes_s: float = Field(default=200.0, gt=0)
    """Connections accepted a second and process; others wait in the listen queue."""
    handshakes_open: int = Field(default=1_000, ge=1)
    """TLS handshakes under way in a process."""
    handshake_time_s: float = Field(default=10.0, gt=0)
    connect_time_s: float = Field(default=10.0, gt=0)
    """From the handshake to a whole CONNECT."""
    keep_alive_s: int = Field(default=1_200, ge=5, le=43_690)
    """The longest keep-alive; a client is ended after 1.5 times its own."""
    packet_kib: int = Field(default=64, ge=1, le=1024)
    """The largest MQTT packet."""
    receive_maximum: int = Field(default=20, ge=1, le=65535)
    """Messages of one connection without an answer; what comes beyond is not read."""
    unacknowledged_mib: int = Field(default=64, ge=1)
    """Payload that one process holds without an answer; beyond it no connection is read."""
    device_messages_s: float = Field(default=20.0, gt=0)
    """Messages a second of one device, and ten times as many at once."""
    device_kib_s: float = Field(default=64.0, gt=0)
    fleet_messages_s: float = Field(default=5_000.0, gt=0)
    """Messages a second of one fleet, in one process."""
    device_connects_min: int = Field(default=15, ge=1)
    """Connections a minute of one device; more are refused for `flapping_s`."""
    flapping_s: float = Field(default=300.0, ge=0)
    source_connects_s: float = Field(default=100.0, gt=0)
    """New connections a second from one address, and ten times as many at once."""
    source_failures_min: int = Field(default=60, ge=1)
    """Failed handshakes and refused credentials a minute from one address; beyond it, it is refused before TLS."""
    body_kib: int = Field(default=1_024, ge=1)
    """The largest body of an HTTP request, once decompressed."""
    request_time_s: float = Field(default=30.0, gt=0)
    """For a whole HTTP request to arrive."""

    linger_ms: int = Field(default=50, ge=0, le=1_000)
    """How long a message waits for others that go to its shard."""
    put_time_s: float = Field(default=20.0, gt=0)
    """A message that the stream has not taken by then is refused."""
    identity_age_s: float = Field(default=60.0, gt=0)
    """What is known of a device is read again after so long; a revocation that no message told is found then."""
    identity_stale_h: float = Field(default=24.0, ge=0)
    """For so long a known device works on while Postgres is away."""

    @model_validator(mode="after")
    def _certificate_and_key(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("set both the certificate and the key, or neither")
        return self
