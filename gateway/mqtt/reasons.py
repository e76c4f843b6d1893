"""MQTT's reason codes, and what 3.1.1 has in their place."""

from enum import IntEnum

from contracts.errors import FleetlakeError


class Reason(IntEnum):
    """Reason codes of MQTT 5 (2.4) that a server of devices that report has a use for."""

    SUCCESS = 0x00
    DISCONNECT_WITH_WILL = 0x04
    NO_SUBSCRIPTION_EXISTED = 0x11
    UNSPECIFIED_ERROR = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83
    UNSUPPORTED_PROTOCOL_VERSION = 0x84
    CLIENT_IDENTIFIER_NOT_VALID = 0x85
    BAD_USER_NAME_OR_PASSWORD = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    BANNED = 0x8A
    SERVER_SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_NAME_INVALID = 0x90
    PACKET_IDENTIFIER_NOT_FOUND = 0x92
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    MESSAGE_RATE_TOO_HIGH = 0x96
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE_ACTION = 0x98
    PAYLOAD_FORMAT_INVALID = 0x99
    RETAIN_NOT_SUPPORTED = 0x9A
    QOS_NOT_SUPPORTED = 0x9B
    CONNECTION_RATE_EXCEEDED = 0x9F

    @property
    def label(self) -> str:
        """The code's name in lower case, for metrics, logs and `fleetlake device why`."""
        return self.name.lower()


ACK_REASONS = frozenset(
    {
        *(Reason.SUCCESS, Reason.UNSPECIFIED_ERROR, Reason.IMPLEMENTATION_SPECIFIC_ERROR, Reason.NOT_AUTHORIZED),
        *(Reason.TOPIC_NAME_INVALID, Reason.QUOTA_EXCEEDED, Reason.PAYLOAD_FORMAT_INVALID),
    }
)
"""What PUBACK and PUBREC may say (3.4.2.1); all else is said as 0x83, with its words."""
RETURN_CODES = {
    Reason.SUCCESS: 0,
    Reason.UNSUPPORTED_PROTOCOL_VERSION: 1,
    Reason.CLIENT_IDENTIFIER_NOT_VALID: 2,
    Reason.UNSPECIFIED_ERROR: 3,
    Reason.SERVER_UNAVAILABLE: 3,
    Reason.SERVER_BUSY: 3,
    Reason.SERVER_SHUTTING_DOWN: 3,
    Reason.QUOTA_EXCEEDED: 3,
    Reason.CONNECTION_RATE_EXCEEDED: 3,
    Reason.BAD_USER_NAME_OR_PASSWORD: 4,
    Reason.BAD_AUTHENTICATION_METHOD: 4,
}
"""CONNACK return codes of 3.1.1 (3.1.1: 3.2.2.3); any other reason is 5, not authorised."""
NOT_AUTHORISED_3_1_1 = 5
REASONS_OF_RETURN_CODES = {
    0: Reason.SUCCESS,
    1: Reason.UNSUPPORTED_PROTOCOL_VERSION,
    2: Reason.CLIENT_IDENTIFIER_NOT_VALID,
    3: Reason.SERVER_UNAVAILABLE,
    4: Reason.BAD_USER_NAME_OR_PASSWORD,
    5: Reason.NOT_AUTHORIZED,
}
"""The same the other way, for a client."""


class MqttError(FleetlakeError):
    """Bytes that are no MQTT, or MQTT that may not come here. `reason` is what the other side is told."""

    def __init__(self, reason: Reason, what: str) -> None:
        super().__init__(what)
        self.reason = reason


def malformed(what: str) -> MqttError:
    """The error of bytes that do not decode."""
    return MqttError(Reason.MALFORMED_PACKET, what)


def protocol_error(what: str) -> MqttError:
    """The error of a packet that decodes and breaks a rule."""
    return MqttError(Reason.PROTOCOL_ERROR, what)
