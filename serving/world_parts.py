"""What a process of the world works with: tokens, and the released aggregates. No store of a region."""

import asyncio

from contracts.errors import BadSettings
from contracts.settings import WorldSettings
from serving.access.keys import Keys
from serving.access.rates import Rates
from serving.access.tokens import Tokens
from serving.metrics import Metrics
from serving.stores.postgres import Postgres


class WorldParts:
    """The parts of one process of the world."""

    def __init__(self, settings: WorldSettings) -> None:
        """Raises BadSettings where no key set is named."""
        own = settings.serving
        if own.jwks is None:
            raise BadSettings("FLEETLAKE_SERVING_JWKS: name the key set whose tokens are believed")
        self.region = settings.region
        self.metrics = Metrics()
        self.keys = Keys(own.jwks, own.jwks_age_s)
        self.tokens = Tokens(
            self.keys, settings.region, audience=own.audience, issuer=own.issuer, longest_s=own.token_hours * 3600
        )
        self.rates = Rates(own.requests_s)
        self.postgres = Postgres(settings.postgres_dsn.get_secret_value(), own.store_timeout_s)
        self.draining = asyncio.Event()

    async def open(self) -> None:
        """Begin."""
        await self.keys.open()
        await self.postgres.open()

    async def close(self) -> None:
        """End."""
        await self.postgres.close()

    def end(self) -> None:
        """The process drains."""
        self.draining.set()
