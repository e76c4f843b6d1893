"""Bytes to packets. Raises MqttError, and nothing else, whatever the bytes are; the work is linear in them."""

from collections.abc import Callable

from gateway.mqtt.framing import Frame
from gateway.mqtt.packets import (
    Ack,
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    Ping,
    Publish,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Version,
    Will,
)
from gateway.mqtt.primitives import Reader
from gateway.mqtt.properties import Kind, Properties, read_properties
from gateway.mqtt.reasons import REASONS_OF_RETURN_CODES, MqttError, Reason, malformed, protocol_error

MAX_QOS = 2
_RESERVED_FLAGS = {Kind.PUBREL: 2, Kind.SUBSCRIBE: 2, Kind.UNSUBSCRIBE: 2}
"""Flags that a packet's first byte must have (2.1.3); 0 for all others but PUBLISH."""
_CLEAN, _WILL, _WILL_RETAIN, _PASSWORD, _USER_NAME = 0x02, 0x04, 0x20, 0x40, 0x80
_NO_LOCAL = 0x04
_V5_ONLY = (Kind.AUTH,)


def decode(frame: Frame, version: Version) -> Packet:
    """The packet of a frame. `version` counts for all packets but CONNECT, which names its own."""
    kind_number, flags = frame.first >> 4, frame.first & 0x0F
    if kind_number == Kind.PUBLISH:
        return _publish(flags, Reader(frame.body), version)
    if not kind_number:
        raise malformed("there is no packet type 0")
    kind = Kind(kind_number)
    if flags != _RESERVED_FLAGS.get(kind, 0):
        raise malformed(f"the flags of a {kind.name} are {flags}")
    if kind in _V5_ONLY and version is not Version.V5:
        raise malformed(f"3.1.1 has no {kind.name}")
    reader = Reader(frame.body)
    packet = _DECODERS[kind](reader, kind, version)
    reader.finish()
    return packet


def _publish(flags: int, reader: Reader, version: Version) -> Publish:
    qos = flags >> 1 & 3
    if qos > MAX_QOS:
        raise malformed("there is no QoS 3")
    if flags & 8 and not qos:
        raise malformed("a PUBLISH of QoS 0 is marked as sent again")
    topic = _topic_name(reader)
    packet_id = _packet_id(reader) if qos else 0
    properties = read_properties(reader, Kind.PUBLISH) if version is Version.V5 else {}
    return Publish(topic, reader.rest(), qos, packet_id, bool(flags & 1), bool(flags & 8), properties)


def _connect(reader: Reader, _: Kind, __: Version) -> Connect:
    version = _version(reader)
    flags = reader.byte()
    if flags & 1:
        raise malformed("the reserved flag of CONNECT is set")
    if version is Version.V3_1_1 and flags & _PASSWORD and not flags & _USER_NAME:
        raise malformed("a password without a user name")
    keep_alive = reader.two_bytes()
    properties = _properties(reader, Kind.CONNECT, version)
    client_id = reader.text()
    will = _will(reader, flags, version)
    user = reader.text() if flags & _USER_NAME else None
    password = reader.binary() if flags & _PASSWORD else None
    return Connect(version, client_id, bool(flags & _CLEAN), keep_alive, user, password, will, properties)


def _version(reader: Reader) -> Version:
    if reader.text() != "MQTT":
        raise MqttError(Reason.UNSUPPORTED_PROTOCOL_VERSION, "the protocol name is not MQTT")
    level = reader.byte()
    try:
        return Version(level)
    except ValueError:
        raise MqttError(Reason.UNSUPPORTED_PROTOCOL_VERSION, f"there is no protocol level {level} here") from None


def _will(reader: Reader, flags: int, version: Version) -> Will | None:
    qos = flags >> 3 & 3
    if not flags & _WILL:
        if qos or flags & _WILL_RETAIN:
            raise malformed("flags of a will without a will")
        return None
    if qos > MAX_QOS:
        raise malformed("there is no QoS 3")
    properties = _properties(reader, Kind.WILL, version)
    topic = _topic_name(reader)
    if not topic:
        raise MqttError(Reason.TOPIC_NAME_INVALID, "the will's topic name is empty")
    return Will(topic, reader.binary(), qos, bool(flags & _WILL_RETAIN), properties)


def _connack(reader: Reader, kind: Kind, version: Version) -> ConnAck:
    flags, code = reader.byte(), reader.byte()
    if flags > 1:
        raise malformed("the flags of a CONNACK")
    if version is Version.V3_1_1:
        if code not in REASONS_OF_RETURN_CODES:
            raise malformed(f"there is no return code {code}")
        return ConnAck(REASONS_OF_RETURN_CODES[code], bool(flags))
    return ConnAck(_reason(code), bool(flags), read_properties(reader, kind))


def _ack(reader: Reader, kind: Kind, version: Version) -> Ack:
    packet_id = _packet_id(reader)
    if version is Version.V3_1_1 or not reader.left:
        return Ack(kind, packet_id)
    reason = reader.byte()
    return Ack(kind, packet_id, reason, read_properties(reader, kind) if reader.left else {})


def _subscribe(reader: Reader, kind: Kind, version: Version) -> Subscribe:
    packet_id, properties = _packet_id(reader), _properties(reader, kind, version)
    filters = []
    while reader.left:
        topic, options = reader.text(), reader.byte()
        if options & 3 > MAX_QOS or options >> (6 if version is Version.V5 else 2) or options >> 4 & 3 > MAX_QOS:
            raise malformed(f"subscription options {options}")
        if options & _NO_LOCAL and topic.startswith("$share/"):
            raise protocol_error("a shared subscription with No Local")
        filters.append((topic, options))
    if not filters:
        raise protocol_error("a SUBSCRIBE without filters")
    return Subscribe(packet_id, filters, properties)


def _unsubscribe(reader: Reader, kind: Kind, version: Version) -> Unsubscribe:
    packet_id, properties = _packet_id(reader), _properties(reader, kind, version)
    filters = []
    while reader.left:
        filters.append(reader.text())
    if not filters:
        raise protocol_error("an UNSUBSCRIBE without filters")
    return Unsubscribe(packet_id, filters, properties)


def _subscribed(reader: Reader, kind: Kind, version: Version) -> Subscribed:
    packet_id, properties = _packet_id(reader), _properties(reader, kind, version)
    has_reasons = kind is Kind.SUBACK or version is Version.V5
    return Subscribed(kind, packet_id, list(reader.rest()) if has_reasons else [], properties)


def _ping(_: Reader, kind: Kind, __: Version) -> Ping:
    return Ping(kind)


def _disconnect(reader: Reader, kind: Kind, version: Version) -> Disconnect:
    if version is Version.V3_1_1 or not reader.left:
        return Disconnect()
    reason = reader.byte()
    return Disconnect(reason, read_properties(reader, kind) if reader.left else {})


def _auth(reader: Reader, kind: Kind, _: Version) -> Auth:
    if not reader.left:
        return Auth()
    return Auth(reader.byte(), read_properties(reader, kind) if reader.left else {})


def _topic_name(reader: Reader) -> str:
    topic = reader.text()
    if "+" in topic or "#" in topic:
        raise MqttError(Reason.TOPIC_NAME_INVALID, "a topic name holds a wildcard")
    return topic


def _packet_id(reader: Reader) -> int:
    packet_id = reader.two_bytes()
    if not packet_id:
        raise malformed("a packet identifier is 0")
    return packet_id


def _properties(reader: Reader, kind: Kind, version: Version) -> Properties:
    return read_properties(reader, kind) if version is Version.V5 else {}


def _reason(code: int) -> Reason:
    try:
        return Reason(code)
    except ValueError:
        return Reason.UNSPECIFIED_ERROR


_DECODERS: dict[Kind, Callable[[Reader, Kind, Version], Packet]] = {
    Kind.CONNECT: _connect,
    Kind.CONNACK: _connack,
    Kind.PUBACK: _ack,
    Kind.PUBREC: _ack,
    Kind.PUBREL: _ack,
    Kind.PUBCOMP: _ack,
    Kind.SUBSCRIBE: _subscribe,
    Kind.SUBACK: _subscribed,
    Kind.UNSUBSCRIBE: _unsubscribe,
    Kind.UNSUBACK: _subscribed,
    Kind.PINGREQ: _ping,
    Kind.PINGRESP: _ping,
    Kind.DISCONNECT: _disconnect,
    Kind.AUTH: _auth,
}
