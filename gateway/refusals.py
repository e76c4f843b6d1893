"""Why the gateway refuses, in one table: the words, MQTT's reason code and HTTP's status."""

from enum import Enum

from contracts.errors import FleetlakeError
from gateway.mqtt.reasons import Reason


class Refusal(Enum):
    """(name for metrics, logs and `fleetlake device why`; MQTT 5; HTTP)."""

    NO_CREDENTIAL = ("no_credential", Reason.BAD_USER_NAME_OR_PASSWORD, 401)
    BAD_CREDENTIAL = ("bad_credential", Reason.BAD_USER_NAME_OR_PASSWORD, 401)
    UNKNOWN_DEVICE = ("unknown_device", Reason.NOT_AUTHORIZED, 403)
    UNKNOWN_CA = ("unknown_ca", Reason.NOT_AUTHORIZED, 403)
    PENDING = ("pending", Reason.NOT_AUTHORIZED, 403)
    REVOKED = ("revoked", Reason.NOT_AUTHORIZED, 403)
    OTHER_DEVICE = ("other_device", Reason.NOT_AUTHORIZED, 403)
    BAD_TOPIC = ("bad_topic", Reason.TOPIC_NAME_INVALID, 404)
    BAD_PAYLOAD = ("bad_payload", Reason.PAYLOAD_FORMAT_INVALID, 400)
    BAD_TYPE = ("bad_type", Reason.PAYLOAD_FORMAT_INVALID, 415)
    TOO_LARGE = ("too_large", Reason.PACKET_TOO_LARGE, 413)
    FLAPPING = ("flapping", Reason.CONNECTION_RATE_EXCEEDED, 429)
    TOO_FAST = ("too_fast", Reason.MESSAGE_RATE_TOO_HIGH, 429)
    BUSY = ("busy", Reason.SERVER_BUSY, 503)
    STREAM_AWAY = ("stream_away", Reason.QUOTA_EXCEEDED, 503)
    STREAM_REFUSES = ("stream_refuses", Reason.IMPLEMENTATION_SPECIFIC_ERROR, 503)
    REGISTRY_AWAY = ("registry_away", Reason.SERVER_UNAVAILABLE, 503)

    def __init__(self, label: str, reason: Reason, status: int) -> None:
        self.label = label
        self.reason = reason
        self.status = status


class Refused(FleetlakeError):
    """A device, or what it sent, is refused."""

    def __init__(self, refusal: Refusal, what: str) -> None:
        super().__init__(what)
        self.refusal = refusal
