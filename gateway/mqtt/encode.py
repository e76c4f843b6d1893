"""Packets to bytes."""

from collections.abc import Callable
from typing import Any

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
)
from gateway.mqtt.primitives import binary, length, text
from gateway.mqtt.properties import Kind, Properties, write_properties
from gateway.mqtt.reasons import NOT_AUTHORISED_3_1_1, RETURN_CODES

_FLAGGED = (Kind.PUBREL, Kind.SUBSCRIBE, Kind.UNSUBSCRIBE)
_FLAGS = 2
"""Reserved flags of the packets above (2.1.3)."""


def encode(packet: Packet, version: Version) -> bytes:
    """The packet's bytes. What a version does not have (properties, reasons) is left out in it."""
    kind, flags, body = _ENCODERS[type(packet)](packet, version)
    return bytes((kind << 4 | flags | (_FLAGS if kind in _FLAGGED else 0),)) + length(len(body)) + body


_Encoded = tuple[Kind, int, bytes]


def _connect(packet: Connect, version: Version) -> _Encoded:
    flags, rest = packet.clean_start << 1, text(packet.client_id)
    if packet.will is not None:
        will = packet.will
        flags |= 0x04 | will.qos << 3 | will.retain << 5
        rest += _properties(will.properties, version) + text(will.topic) + binary(will.payload)
    if packet.user_name is not None:
        flags |= 0x80
        rest += text(packet.user_name)
    if packet.password is not None:
        flags |= 0x40
        rest += binary(packet.password)
    head = text("MQTT") + bytes((version, flags)) + packet.keep_alive_s.to_bytes(2)
    return Kind.CONNECT, 0, head + _properties(packet.properties, version) + rest


def _connack(packet: ConnAck, version: Version) -> _Encoded:
    if version is Version.V3_1_1:
        code = RETURN_CODES.get(packet.reason, NOT_AUTHORISED_3_1_1)
        return Kind.CONNACK, 0, bytes((packet.session_present, code))
    return Kind.CONNACK, 0, bytes((packet.session_present, packet.reason)) + write_properties(packet.properties)


def _publish(packet: Publish, version: Version) -> _Encoded:
    head = text(packet.topic) + (packet.packet_id.to_bytes(2) if packet.qos else b"")
    flags = packet.dup << 3 | packet.qos << 1 | packet.retain
    return Kind.PUBLISH, flags, head + _properties(packet.properties, version) + packet.payload


def _ack(packet: Ack, version: Version) -> _Encoded:
    return packet.kind, 0, packet.packet_id.to_bytes(2) + _reason(packet.reason, packet.properties, version)


def _subscribe(packet: Subscribe, version: Version) -> _Encoded:
    filters = b"".join(text(topic) + bytes((options,)) for topic, options in packet.filters)
    return Kind.SUBSCRIBE, 0, packet.packet_id.to_bytes(2) + _properties(packet.properties, version) + filters


def _unsubscribe(packet: Unsubscribe, version: Version) -> _Encoded:
    filters = b"".join(map(text, packet.filters))
    return Kind.UNSUBSCRIBE, 0, packet.packet_id.to_bytes(2) + _properties(packet.properties, version) + filters


def _subscribed(packet: Subscribed, version: Version) -> _Encoded:
    reasons = b"" if packet.kind is Kind.UNSUBACK and version is Version.V3_1_1 else bytes(packet.reasons)
    return packet.kind, 0, packet.packet_id.to_bytes(2) + _properties(packet.properties, version) + reasons


def _ping(packet: Ping, _: Version) -> _Encoded:
    return packet.kind, 0, b""


def _disconnect(packet: Disconnect, version: Version) -> _Encoded:
    return Kind.DISCONNECT, 0, _reason(packet.reason, packet.properties, version)


def _auth(packet: Auth, version: Version) -> _Encoded:
    return Kind.AUTH, 0, _reason(packet.reason, packet.properties, version)


def _reason(reason: int, properties: Properties, version: Version) -> bytes:
    """A reason in its shortest form: none for success without properties (3.4.2.1)."""
    if version is Version.V3_1_1 or not (reason or properties):
        return b""
    return bytes((reason,)) + (write_properties(properties) if properties else b"")


def _properties(properties: Properties, version: Version) -> bytes:
    return write_properties(properties) if version is Version.V5 else b""


_ENCODERS: dict[type[Any], Callable[[Any, Version], _Encoded]] = {
    Connect: _connect,
    ConnAck: _connack,
    Publish: _publish,
    Ack: _ack,
    Subscribe: _subscribe,
    Unsubscribe: _unsubscribe,
    Subscribed: _subscribed,
    Ping: _ping,
    Disconnect: _disconnect,
    Auth: _auth,
}
