"""The codec beside others: what paho, gmqtt and mqtt5 write is read as it is meant, and mqtt5 reads what this reads."""

from typing import Any

import mqtt5
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.mqtt.decode import decode
from gateway.mqtt.encode import encode
from gateway.mqtt.framing import Framer
from gateway.mqtt.packets import Ack, Connect, Disconnect, Packet, Publish, Subscribe, Unsubscribe, Version
from gateway.mqtt.properties import Kind, Properties, Property
from gateway.mqtt.reasons import MqttError
from tests.builders.foreign_packets import foreign
from tests.builders.mqtt import packets

KINDS = (Connect, Publish, Ack, Subscribe, Unsubscribe, Disconnect)
CLIENTS = packets(Version.V5).filter(lambda packet: isinstance(packet, KINDS))
NAMES: dict[Property, tuple[str, Any]] = {
    Property.PAYLOAD_FORMAT: ("payload_format_indicator", 0),
    Property.MESSAGE_EXPIRY: ("message_expiry_interval", None),
    Property.CONTENT_TYPE: ("content_type", None),
    Property.RESPONSE_TOPIC: ("response_topic", None),
    Property.CORRELATION_DATA: ("correlation_data", None),
    Property.SUBSCRIPTION_IDENTIFIER: ("subscription_id", None),
    Property.SESSION_EXPIRY: ("session_expiry_interval", 0),
    Property.AUTHENTICATION_METHOD: ("authentication_method", None),
    Property.AUTHENTICATION_DATA: ("authentication_data", None),
    Property.REQUEST_PROBLEM_INFORMATION: ("request_problem_info", 1),
    Property.REQUEST_RESPONSE_INFORMATION: ("request_response_info", 0),
    Property.WILL_DELAY: ("will_delay_interval", 0),
    Property.SERVER_REFERENCE: ("server_reference", None),
    Property.REASON_STRING: ("reason_str", None),
    Property.RECEIVE_MAXIMUM: ("receive_max", 65_535),
    Property.TOPIC_ALIAS_MAXIMUM: ("topic_alias_max", 0),
    Property.TOPIC_ALIAS: ("topic_alias", None),
    Property.USER_PROPERTY: ("user_properties", []),
    Property.MAXIMUM_PACKET_SIZE: ("max_packet_size", None),
}
"""mqtt5's name of each property, and its value where it is not there."""


@pytest.mark.parametrize("version", list(Version), ids=["3.1.1", "5"])
def test_packets_of_other_libraries_are_read_as_they_are_meant(version: Version) -> None:
    for library, data, packet in foreign(version):
        assert (library, ours(data, version)) == (library, packet)
        if version is Version.V5 and isinstance(packet, KINDS):
            assert (library, seen(theirs(data))) == (library, meant(packet))


@settings(max_examples=150, deadline=None)
@given(CLIENTS)
def test_both_codecs_read_the_same(packet: Packet) -> None:
    read = theirs(encode(packet, Version.V5))
    assert read is None or seen(read) == meant(packet)


@settings(max_examples=250, deadline=None)
@given(CLIENTS, st.data())
def test_what_both_codecs_take_of_a_damaged_packet_is_the_same(packet: Packet, data: st.DataObject) -> None:
    damaged = bytearray(encode(packet, Version.V5))
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.integers(1, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    mine = ours(bytes(damaged), Version.V5)
    if mine is not None and isinstance(mine, KINDS) and getattr(mine, "version", Version.V5) is Version.V5:
        read = theirs(bytes(damaged))
        assert read is None or seen(read) == meant(mine)


def ours(data: bytes, version: Version) -> Packet | None:
    """What this codec reads; None where it is refused or not whole."""
    framer = Framer(1 << 20)
    framer.feed(data)
    try:
        frame = framer.next()
        return None if frame is None else decode(frame, version)
    except MqttError:
        return None


def theirs(data: bytes) -> Any:
    """What mqtt5 reads; None where it refuses, which it also does by a panic."""
    try:
        return mqtt5.read(memoryview(data))[0]
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001
        return None


def meant(packet: Packet) -> dict[str, Any]:
    """A packet's content under mqtt5's names."""
    found = _named(getattr(packet, "properties", {}))
    if isinstance(packet, Connect):
        will = packet.will
        found |= {"client_id": packet.client_id, "username": packet.user_name, "password": packet.password}
        found |= {"clean_start": packet.clean_start, "keep_alive": packet.keep_alive_s}
        found["will"] = None if will is None else (will.topic, will.payload or None, will.qos, will.retain)
        found["of_will"] = {} if will is None else _named(will.properties)
    elif isinstance(packet, Publish):
        found |= {"topic": packet.topic, "payload": packet.payload, "qos": packet.qos, "retain": packet.retain}
        found |= {"duplicate": packet.dup, "packet_id": packet.packet_id or None}
    elif isinstance(packet, Subscribe):
        found |= {"packet_id": packet.packet_id, "filters": packet.filters}
    elif isinstance(packet, Unsubscribe):
        found |= {"packet_id": packet.packet_id, "patterns": packet.filters}
    elif isinstance(packet, Ack):
        found |= {"packet_id": packet.packet_id, "reason_code": packet.reason, "kind": packet.kind}
    elif isinstance(packet, Disconnect):
        found |= {"reason_code": packet.reason}
    return found


def seen(read: Any) -> dict[str, Any]:
    """The same of what mqtt5 read."""
    found = _attributes(read)
    if isinstance(read, mqtt5.ConnectPacket):
        will = read.will
        found |= {name: getattr(read, name) for name in ("client_id", "username", "password")}
        found |= {"clean_start": read.clean_start, "keep_alive": read.keep_alive}
        found["will"] = None if will is None else (will.topic, will.payload or None, _int(will.qos), will.retain)
        found["of_will"] = {} if will is None else _attributes(will)
    elif isinstance(read, mqtt5.PublishPacket):
        names = ("topic", "payload", "retain", "duplicate", "packet_id")
        found |= {name: getattr(read, name) for name in names} | {"qos": _int(read.qos)}
    elif isinstance(read, mqtt5.SubscribePacket):
        filters = [
            (one.pattern, _int(one.max_qos) | one.no_local << 2 | one.retain_as_published << 3 | _int(handling) << 4)
            for one in read.topic_filters
            for handling in (one.retain_handling,)
        ]
        found |= {"packet_id": read.packet_id, "filters": filters}
    elif isinstance(read, mqtt5.UnsubscribePacket):
        found |= {"packet_id": read.packet_id, "patterns": read.patterns}
    elif isinstance(read, mqtt5.DisconnectPacket):
        found |= {"reason_code": _int(read.reason_code)}
    else:
        kinds = {mqtt5.PubAckPacket: Kind.PUBACK, mqtt5.PubRecPacket: Kind.PUBREC, mqtt5.PubRelPacket: Kind.PUBREL}
        kind = kinds.get(type(read), Kind.PUBCOMP)
        found |= {"packet_id": read.packet_id, "reason_code": _int(read.reason_code), "kind": kind}
    return found


def _int(value: Any) -> int:
    """The number of one of mqtt5's enumerations, which are no integers."""
    return int(value)


def _named(properties: Properties) -> dict[str, Any]:
    """The properties that are there and differ from their default."""
    pairs = ((NAMES[key][0], value, NAMES[key][1]) for key, value in properties.items())
    return {name: value for name, value, default in pairs if value != default}


def _attributes(read: Any) -> dict[str, Any]:
    found = {}
    for name, default in NAMES.values():
        value = getattr(read, name, default)
        if value is not None and value != default:
            found[name] = value
    return found
