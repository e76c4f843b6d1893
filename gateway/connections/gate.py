"""What every connection of a process shares: who may speak, the limits, the way onto the stream, and what is told."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.connections.refusal_log import RefusalLog
from gateway.identity.authenticate import Authenticator
from gateway.identity.model import Identity
from gateway.intake.intake import Intake
from gateway.limits.limits import Limits
from gateway.metrics import Metrics
from gateway.refusals import Refusal, Refused
from gateway.shapes.shapes import Shapes

SLOW_DOWN_S = 1.0
"""How long the answer to a bad credential waits."""
_OF_THE_CREDENTIAL = (401, 403)


@dataclass(slots=True)
class Gate:
    """One process's parts."""

    authenticator: Authenticator
    limits: Limits
    intake: Intake
    metrics: Metrics
    refusals: RefusalLog
    shapes: Shapes = field(default_factory=Shapes)
    """What devices may speak besides the contract's own topics and paths."""
    closed: Callable[[], None] = lambda: None
    """Called once a connection is gone."""

    async def identify(
        self, *, certificate: bytes | None, name: str | None, secret: bytes | None, source: str, protocol: str
    ) -> Identity:
        """The device behind a connection, by its certificate or else its token. Raises Refused, after it was noted."""
        try:
            return await self._identity(certificate, name, secret)
        except Refused as refused:
            self.refusals.note(refused, protocol, name, source)
            if refused.refusal.status in _OF_THE_CREDENTIAL:
                self.limits.failed(source)
                await asyncio.sleep(SLOW_DOWN_S)
            raise

    async def _identity(self, certificate: bytes | None, name: str | None, secret: bytes | None) -> Identity:
        if certificate is not None:
            return await self.authenticator.by_certificate(certificate)
        if name and secret is not None:
            return await self.authenticator.by_token(name, secret)
        raise Refused(Refusal.NO_CREDENTIAL, "neither a client certificate nor a user name with a token")
