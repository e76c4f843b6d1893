"""The gateway's limits in the order in which they protect."""

from contracts.gateway_settings import GatewaySettings
from gateway.identity.model import Identity
from gateway.limits.rates import Bans, Clock, Rates
from gateway.refusals import Refusal, Refused

BURST_S = 10.0
"""A bucket holds what comes in so many seconds at its rate."""
_KIB = 1024


class Limits:
    """One process's limits. Nothing here waits; callers do."""

    def __init__(self, settings: GatewaySettings, clock: Clock) -> None:
        self.settings = settings
        self._connects = Rates(settings.source_connects_s, settings.source_connects_s * BURST_S, clock)
        self._failures = Rates(settings.source_failures_min / 60, settings.source_failures_min, clock)
        self._logins = Rates(settings.device_connects_min / 60, settings.device_connects_min, clock)
        self._flapping = Bans(clock)
        messages_s, kib_s = settings.device_messages_s, settings.device_kib_s
        self._messages = Rates(messages_s, messages_s * BURST_S, clock)
        self._bytes = Rates(kib_s * _KIB, kib_s * _KIB * BURST_S, clock)
        self._fleets = Rates(settings.fleet_messages_s, settings.fleet_messages_s * BURST_S, clock)

    def refuses_source(self, source: str) -> str | None:
        """Why a new connection from this address is refused before TLS; None where it is not."""
        if self._failures.wait_s(source):
            return "source_failures"
        if self._connects.wait_s(source):
            return "source_connects"
        self._connects.take(source)
        return None

    def failed(self, source: str) -> None:
        """A handshake failed, or a credential was refused."""
        self._failures.take(source)

    def login(self, device_id: str) -> None:
        """A known device connects. Raises Refused where it does so again and again."""
        left = self._flapping.left_s(device_id)
        if not left and self._logins.wait_s(device_id):
            left = self.settings.flapping_s
            self._flapping.ban(device_id, left)
        if left:
            most = self.settings.device_connects_min
            raise Refused(Refusal.FLAPPING, f"more than {most} connections a minute; {left:.0f} s left")
        self._logins.take(device_id)

    def message_wait_s(self, identity: Identity, size: int) -> float:
        """How long this message has to wait for its device's and its fleet's rates; 0 where it goes, and counts."""
        device = identity.device
        device_id, fleet_id = device.device_id, device.fleet_id
        wait_s = max(
            self._messages.take(device_id, 1.0, device.messages_s),
            self._bytes.take(device_id, size),
            self._fleets.take(fleet_id, 1.0, device.fleet_messages_s),
        )
        if wait_s:
            self._messages.give_back(device_id)
            self._bytes.give_back(device_id, size)
            self._fleets.give_back(fleet_id)
        return wait_s
