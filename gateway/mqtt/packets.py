"""MQTT's control packets, of both versions."""

from dataclasses import dataclass, field
from enum import IntEnum

from gateway.mqtt.properties import Kind, Properties
from gateway.mqtt.reasons import Reason


class Version(IntEnum):
    """Protocol levels."""

    V3_1_1 = 4
    V5 = 5


@dataclass(slots=True)
class Will:
    """What a client wants published where it vanishes."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Connect:
    """A client's first packet."""

    version: Version
    client_id: str
    clean_start: bool = True
    keep_alive_s: int = 0
    user_name: str | None = None
    password: bytes | None = None
    will: Will | None = None
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class ConnAck:
    """The server's answer to CONNECT."""

    reason: Reason
    session_present: bool = False
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Publish:
    """A message. packet_id is 0 with QoS 0."""

    topic: str
    payload: bytes
    qos: int = 0
    packet_id: int = 0
    retain: bool = False
    dup: bool = False
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Ack:
    """PUBACK, PUBREC, PUBREL or PUBCOMP, by `kind`."""

    kind: Kind
    packet_id: int
    reason: int = Reason.SUCCESS
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Subscribe:
    """Topic filters with their options (in 3.1.1 the QoS)."""

    packet_id: int
    filters: list[tuple[str, int]]
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Unsubscribe:
    """Topic filters."""

    packet_id: int
    filters: list[str]
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Subscribed:
    """SUBACK or UNSUBACK, by `kind`: a reason a filter (an UNSUBACK of 3.1.1 has none)."""

    kind: Kind
    packet_id: int
    reasons: list[int]
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Ping:
    """PINGREQ or PINGRESP, by `kind`."""

    kind: Kind


@dataclass(slots=True)
class Disconnect:
    """The end of a connection, from either side (in 3.1.1 from the client)."""

    reason: int = Reason.SUCCESS
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Auth:
    """A step of enhanced authentication."""

    reason: int = Reason.SUCCESS
    properties: Properties = field(default_factory=dict)


Packet = Connect | ConnAck | Publish | Ack | Subscribe | Unsubscribe | Subscribed | Ping | Disconnect | Auth
