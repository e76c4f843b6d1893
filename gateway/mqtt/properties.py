"""The properties of MQTT 5 (2.2.2): which packet may have which, and how each is written."""

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, NamedTuple

from gateway.mqtt import primitives
from gateway.mqtt.primitives import Reader
from gateway.mqtt.reasons import malformed, protocol_error


class Kind(IntEnum):
    """Packet types (2.1.2), with WILL for the properties of a CONNECT's will."""

    WILL = 0
    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15


class Property(IntEnum):
    """Property identifiers."""

    PAYLOAD_FORMAT = 0x01
    MESSAGE_EXPIRY = 0x02
    CONTENT_TYPE = 0x03
    RESPONSE_TOPIC = 0x08
    CORRELATION_DATA = 0x09
    SUBSCRIPTION_IDENTIFIER = 0x0B
    SESSION_EXPIRY = 0x11
    ASSIGNED_CLIENT_ID = 0x12
    SERVER_KEEP_ALIVE = 0x13
    AUTHENTICATION_METHOD = 0x15
    AUTHENTICATION_DATA = 0x16
    REQUEST_PROBLEM_INFORMATION = 0x17
    WILL_DELAY = 0x18
    REQUEST_RESPONSE_INFORMATION = 0x19
    RESPONSE_INFORMATION = 0x1A
    SERVER_REFERENCE = 0x1C
    REASON_STRING = 0x1F
    RECEIVE_MAXIMUM = 0x21
    TOPIC_ALIAS_MAXIMUM = 0x22
    TOPIC_ALIAS = 0x23
    MAXIMUM_QOS = 0x24
    RETAIN_AVAILABLE = 0x25
    USER_PROPERTY = 0x26
    MAXIMUM_PACKET_SIZE = 0x27
    WILDCARD_AVAILABLE = 0x28
    SUBSCRIPTION_IDENTIFIERS_AVAILABLE = 0x29
    SHARED_AVAILABLE = 0x2A


Properties = dict[Property, Any]
"""Values by property. USER_PROPERTY has a list of (name, value), every other property one value."""


class _Form(NamedTuple):
    """How a property is read and written, where it may be, and which values it may not have."""

    read: Callable[[Reader], Any]
    write: Callable[[Any], bytes]
    allowed: frozenset[Kind]
    is_valid: Callable[[Any], bool] = lambda _: True


def _pair(reader: Reader) -> tuple[str, str]:
    return reader.text(), reader.text()


def _write_pair(pair: tuple[str, str]) -> bytes:
    return primitives.text(pair[0]) + primitives.text(pair[1])


def _form(form: str, *allowed: Kind, is_valid: Callable[[Any], bool] = lambda _: True) -> _Form:
    read, write = _FORMS[form]
    return _Form(read, write, frozenset(allowed), is_valid)


_FORMS: dict[str, tuple[Callable[[Reader], Any], Callable[[Any], bytes]]] = {
    "byte": (Reader.byte, lambda value: value.to_bytes(1)),
    "two": (Reader.two_bytes, lambda value: value.to_bytes(2)),
    "four": (Reader.four_bytes, lambda value: value.to_bytes(4)),
    "length": (Reader.length, primitives.length),
    "text": (Reader.text, primitives.text),
    "binary": (Reader.binary, primitives.binary),
    "pair": (_pair, _write_pair),
}
_ACKS = (Kind.PUBACK, Kind.PUBREC, Kind.PUBREL, Kind.PUBCOMP, Kind.SUBACK, Kind.UNSUBACK)
_OPEN = (Kind.CONNECT, Kind.CONNACK)


def _flag(value: int) -> bool:
    return value in (0, 1)


def _positive(value: int) -> bool:
    return value > 0


def _no_wildcard(value: str) -> bool:
    return "+" not in value and "#" not in value


PROPERTIES: dict[Property, _Form] = {
    Property.PAYLOAD_FORMAT: _form("byte", Kind.PUBLISH, Kind.WILL, is_valid=_flag),
    Property.MESSAGE_EXPIRY: _form("four", Kind.PUBLISH, Kind.WILL),
    Property.CONTENT_TYPE: _form("text", Kind.PUBLISH, Kind.WILL),
    Property.RESPONSE_TOPIC: _form("text", Kind.PUBLISH, Kind.WILL, is_valid=_no_wildcard),
    Property.CORRELATION_DATA: _form("binary", Kind.PUBLISH, Kind.WILL),
    Property.SUBSCRIPTION_IDENTIFIER: _form("length", Kind.SUBSCRIBE, is_valid=_positive),
    Property.SESSION_EXPIRY: _form("four", *_OPEN, Kind.DISCONNECT),
    Property.ASSIGNED_CLIENT_ID: _form("text", Kind.CONNACK),
    Property.SERVER_KEEP_ALIVE: _form("two", Kind.CONNACK),
    Property.AUTHENTICATION_METHOD: _form("text", *_OPEN, Kind.AUTH),
    Property.AUTHENTICATION_DATA: _form("binary", *_OPEN, Kind.AUTH),
    Property.REQUEST_PROBLEM_INFORMATION: _form("byte", Kind.CONNECT, is_valid=_flag),
    Property.WILL_DELAY: _form("four", Kind.WILL),
    Property.REQUEST_RESPONSE_INFORMATION: _form("byte", Kind.CONNECT, is_valid=_flag),
    Property.RESPONSE_INFORMATION: _form("text", Kind.CONNACK),
    Property.SERVER_REFERENCE: _form("text", Kind.CONNACK, Kind.DISCONNECT),
    Property.REASON_STRING: _form("text", Kind.CONNACK, *_ACKS, Kind.DISCONNECT, Kind.AUTH),
    Property.RECEIVE_MAXIMUM: _form("two", *_OPEN, is_valid=_positive),
    Property.TOPIC_ALIAS_MAXIMUM: _form("two", *_OPEN),
    # Zero is 0x94, which the session says: 3.3.2.3.4.
    Property.TOPIC_ALIAS: _form("two", Kind.PUBLISH),
    Property.MAXIMUM_QOS: _form("byte", Kind.CONNACK, is_valid=_flag),
    Property.RETAIN_AVAILABLE: _form("byte", Kind.CONNACK, is_valid=_flag),
    Property.USER_PROPERTY: _form("pair", *Kind),
    Property.MAXIMUM_PACKET_SIZE: _form("four", *_OPEN, is_valid=_positive),
    Property.WILDCARD_AVAILABLE: _form("byte", Kind.CONNACK, is_valid=_flag),
    Property.SUBSCRIPTION_IDENTIFIERS_AVAILABLE: _form("byte", Kind.CONNACK, is_valid=_flag),
    Property.SHARED_AVAILABLE: _form("byte", Kind.CONNACK, is_valid=_flag),
}


def read_properties(reader: Reader, kind: Kind) -> Properties:
    """The properties of a packet of that kind. Raises MqttError for what may not be there (2.2.2.2)."""
    size = reader.length()
    if not size:
        return {}
    body = reader.part(size)
    found: Properties = {}
    while body.left:
        key, form = _known(body.byte(), kind)
        value = form.read(body)
        if not form.is_valid(value):
            raise protocol_error(f"property {key.name.lower()} is {value}")
        if key is Property.USER_PROPERTY:
            found.setdefault(key, []).append(value)
        elif key in found:
            raise protocol_error(f"property {key.name.lower()} is there twice")
        else:
            found[key] = value
    return found


def write_properties(properties: Mapping[Property, Any]) -> bytes:
    """The properties with their length before them."""
    if not properties:
        return b"\0"
    made = bytearray()
    for key, value in properties.items():
        write = PROPERTIES[key].write
        for one in value if key is Property.USER_PROPERTY else (value,):
            made.append(key)
            made += write(one)
    return primitives.length(len(made)) + bytes(made)


def _known(identifier: int, kind: Kind) -> tuple[Property, _Form]:
    try:
        key = Property(identifier)
    except ValueError:
        raise malformed(f"there is no property 0x{identifier:02X}") from None
    form = PROPERTIES[key]
    if kind not in form.allowed:
        raise protocol_error(f"a {kind.name} has no property {key.name.lower()}")
    return key, form
