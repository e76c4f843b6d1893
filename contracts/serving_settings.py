"""Settings of the read API and the live map: where it listens, whose tokens it believes, and its limits."""

import re
from typing import Self

from pydantic import BaseModel, Field, model_validator

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+")


class ServingSettings(BaseModel):
    """FLEETLAKE_SERVING_*, for each process of the service."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """The address that it is served on; 0.0.0.0 is every interface, behind a load balancer that speaks TLS."""
    port: int = Field(default=8900, ge=0, le=65535)
    """0 picks a free port."""

    jwks: str | None = None
    """Whose tokens are believed: a file, or the https:// address of an OIDC provider's key set."""
    jwks_age_s: float = Field(default=600.0, gt=0)
    """A key set is read again after so long, and where a token names a key that is not in it."""
    issuer: str | None = None
    """`iss` that a token must have; any where unset."""
    audience: str = Field(default="fleetlake", min_length=1)
    """`aud` that a token must have."""
    token_hours: float = Field(default=24.0, gt=0)
    """A token that holds longer is refused."""

    requests_s: float = Field(default=50.0, gt=0)
    """Requests a second of one token in one process, ten times as many at once."""
    streams: int = Field(default=2_000, ge=1)
    """Live streams open in one process."""
    streams_token: int = Field(default=20, ge=1)
    """Live streams of one token in one process."""
    stream_hz: float = Field(default=1.0, gt=0, le=2)
    """How often a live stream sends what changed."""
    trail_records: int = Field(default=100_000, ge=1)
    """The largest page of a trail."""
    trail_days: float = Field(default=31.0, gt=0)
    """The longest span of time that one trail may cover."""

    directory_age_s: float = Field(default=30.0, gt=0)
    """Which device is of which fleet is read again after so long."""
    store_timeout_s: float = Field(default=3.0, gt=0)
    """Redis and Postgres have to answer by then, or the request ends with 503."""
    drain_s: float = Field(default=10.0, gt=0)
    """Requests under way at SIGTERM have to end by then."""

    webhooks_private: bool = False
    """Webhooks may go to http:// and to addresses that are not public: for a laptop, never where others enter them."""

    origins: str = ""
    """Origins, separated by commas, whose pages may call this API (CORS)."""
    sites: str = ""
    """Regions of the map as NAME=ORIGIN, separated by commas; this region alone where unset."""

    @model_validator(mode="after")
    def _origins_are_origins(self) -> Self:
        for origin in (*self.allowed_origins, *self.map_sites.values()):
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin; write it as https://map.example.com")
        return self

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """Origins of pages that may call this API."""
        return tuple(filter(None, (origin.strip() for origin in self.origins.split(","))))

    @property
    def map_sites(self) -> dict[str, str]:
        """Regions of the map and where each is served."""
        pairs = (site.partition("=") for site in self.sites.split(",") if site.strip())
        return {name.strip(): origin.strip() for name, _, origin in pairs}
