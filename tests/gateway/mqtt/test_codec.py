"""The codec: what is encoded decodes to the same, and no bytes raise anything but MqttError."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.mqtt.decode import decode
from gateway.mqtt.encode import encode
from gateway.mqtt.framing import Frame, Framer
from gateway.mqtt.packets import Ack, Connect, Packet, Publish, Version
from gateway.mqtt.primitives import MAX_LENGTH, Reader, length
from gateway.mqtt.properties import Kind
from gateway.mqtt.reasons import MqttError, Reason
from tests.builders.mqtt import connect, packets, publish

MOST = 1 << 20
VERSIONED = st.one_of([st.tuples(st.just(version), packets(version)) for version in Version])


def frames(data: bytes, most: int = MOST) -> list[Frame]:
    framer = Framer(most)
    framer.feed(data)
    return list(iter(framer.next, None))


@settings(max_examples=300, deadline=None)
@given(VERSIONED)
def test_what_is_encoded_decodes_to_the_same(made: tuple[Version, Packet]) -> None:
    version, packet = made
    (frame,) = frames(encode(packet, version))
    assert decode(frame, version) == packet


@settings(max_examples=60, deadline=None)
@given(st.lists(VERSIONED, min_size=1, max_size=5), st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_bytes_may_come_in_any_pieces(made: list[tuple[Version, Packet]], sizes: list[int]) -> None:
    data = b"".join(encode(packet, version) for version, packet in made)
    framer, found, at = Framer(MOST), [], 0
    while at < len(data):
        size = sizes[at % len(sizes)]
        framer.feed(data[at : at + size])
        at += size
        found += list(iter(framer.next, None))
    assert found == frames(data)
    assert framer.buffered == 0


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 255), st.binary(max_size=60), st.sampled_from(Version))
def test_no_bytes_raise_anything_else(first: int, body: bytes, version: Version) -> None:
    try:
        packet = decode(Frame(first, body), version)
    except MqttError as error:
        assert error.reason >= Reason.UNSPECIFIED_ERROR
        return
    # What decodes has one meaning: encoded again, it decodes to the same.
    own = packet.version if isinstance(packet, Connect) else version
    (frame,) = frames(encode(packet, own))
    assert decode(frame, own) == packet


@settings(max_examples=300, deadline=None)
@given(VERSIONED, st.data())
def test_a_damaged_packet_raises_nothing_else(made: tuple[Version, Packet], data: st.DataObject) -> None:
    version, packet = made
    damaged = bytearray(encode(packet, version))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    read = []
    try:
        for frame in frames(bytes(damaged)):
            read.append(decode(frame, version))
    except MqttError as error:
        assert str(error)
    assert len(read) <= len(damaged) // 2  # a packet has two bytes at least


@given(st.integers(0, MAX_LENGTH))
def test_lengths_take_the_fewest_bytes(value: int) -> None:
    made = length(value)
    assert Reader(made).length() == value
    assert len(made) == 1 + sum(value >= 1 << bits for bits in (7, 14, 21))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x30\xff\xff\xff\xff\x01", Reason.MALFORMED_PACKET),
        (b"\x30\x81\x80\x40", Reason.PACKET_TOO_LARGE),
        (b"\x30\xff\xff\x7f", Reason.PACKET_TOO_LARGE),
    ],
    ids=["five length bytes", "one byte too large", "2 MiB announced"],
)
def test_a_length_is_refused_before_its_body_comes(data: bytes, reason: Reason) -> None:
    with pytest.raises(MqttError) as caught:
        frames(data, most=1 << 20)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("first", "body", "reason"),
    [
        (0x00, b"", Reason.MALFORMED_PACKET),
        (0x36, b"\0\1a\0\1", Reason.MALFORMED_PACKET),
        (0x38, b"\0\1a", Reason.MALFORMED_PACKET),
        (0x32, b"\0\1a\0\0", Reason.MALFORMED_PACKET),
        (0x30, b"\0\3a/#", Reason.TOPIC_NAME_INVALID),
        (0x30, b"\0\2\xc3\x28", Reason.MALFORMED_PACKET),
        (0x30, b"\0\1\0", Reason.MALFORMED_PACKET),
        (0x60, b"\0\1", Reason.MALFORMED_PACKET),
        (0x80, b"\0\1\0\0\1a\0", Reason.MALFORMED_PACKET),
        (0x82, b"\0\1\0", Reason.PROTOCOL_ERROR),
        (0xC0, b"x", Reason.MALFORMED_PACKET),
        (0x10, b"\0\4MQTT\x03\2\0\0\0\0", Reason.UNSUPPORTED_PROTOCOL_VERSION),
        (0x10, b"\0\6MQIsdp\x03\2\0\0\0\0", Reason.UNSUPPORTED_PROTOCOL_VERSION),
        (0x10, b"\0\4MQTT\x04\3\0\0\0\0", Reason.MALFORMED_PACKET),
        (0x10, b"\0\4MQTT\x04\x42\0\0\0\0\0\1p", Reason.MALFORMED_PACKET),
        (0x10, b"\0\4MQTT\x05\2\0\0\x06\x21\0\1\x21\0\1\0\0", Reason.PROTOCOL_ERROR),
        (0x10, b"\0\4MQTT\x05\2\0\0\x03\x21\0\0\0\0", Reason.PROTOCOL_ERROR),
        (0x10, b"\0\4MQTT\x05\2\0\0\x03\x23\0\1\0\0", Reason.PROTOCOL_ERROR),
        (0x10, b"\0\4MQTT\x05\2\0\0\x01\x7f\0\0", Reason.MALFORMED_PACKET),
        (0x10, b"\0\4MQTT\x05\2\0\0\x80\0\0\0", Reason.MALFORMED_PACKET),
    ],
    ids=[
        "type 0",
        "QoS 3",
        "QoS 0 sent again",
        "packet id 0",
        "wildcard in a topic",
        "no UTF-8",
        "U+0000",
        "PUBREL without its flags",
        "SUBSCRIBE without its flags",
        "SUBSCRIBE without filters",
        "PINGREQ with a body",
        "level 3",
        "MQTT 3.1",
        "reserved CONNECT flag",
        "password alone in 3.1.1",
        "a property twice",
        "Receive Maximum 0",
        "a property of another packet",
        "an unknown property",
        "a length with a byte too many",
    ],
)
def test_broken_rules_have_their_reason(first: int, body: bytes, reason: Reason) -> None:
    with pytest.raises(MqttError) as caught:
        decode(Frame(first, body), Version.V5)
    assert caught.value.reason is reason


def test_bytes_of_the_standards_examples() -> None:
    assert connect(Version.V3_1_1, "a", keep_alive_s=60) == b"\x10\x0d\0\4MQTT\4\2\0\x3c\0\1a"
    assert publish("a/b", b"x", version=Version.V3_1_1, qos=1, packet_id=10) == b"\x32\x08\0\3a/b\0\x0ax"
    assert encode(Ack(Kind.PUBACK, 10), Version.V5) == b"\x40\2\0\x0a"
    assert encode(Ack(Kind.PUBACK, 10, Reason.QUOTA_EXCEEDED), Version.V5) == b"\x40\3\0\x0a\x97"
    assert encode(Publish("t", b"", 0), Version.V5) == b"\x30\4\0\1t\0"
