"""Rules of the standards that no other test names: docs/reference/mqtt-statements.md says which test holds which."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.mqtt.encode import encode
from gateway.mqtt.packets import (
    Ack,
    ConnAck,
    Connect,
    Disconnect,
    Ping,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Version,
    Will,
)
from gateway.mqtt.primitives import text
from gateway.mqtt.properties import Kind, Property
from gateway.mqtt.reasons import RETURN_CODES, Reason
from gateway.mqtt.session import ConnectReceived, MessageReceived, ServerSession, SessionLimits
from gateway.refusals import Refusal
from tests.builders.mqtt import connect, packets, publish
from tests.builders.mqtt_session import connected, deliveries, events, sent

BOTH = pytest.mark.parametrize("version", list(Version), ids=["3.1.1", "5"])
OLD, NEW = Version.V3_1_1, Version.V5
ACK_CODES = {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}
CONNACK_CODES = {0x00, *range(0x80, 0x8B), 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F}
DISCONNECT_CODES = {0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, *range(0x8D, 0x91), *range(0x93, 0xA3)}


def refused(data: bytes) -> tuple[Reason, list[object]]:
    """How a connection ends that begins with these bytes, and what it was told."""
    session = ServerSession(SessionLimits())
    (ended,) = events(session, data)
    return ended.reason, list(sent(session))


@BOTH
@pytest.mark.parametrize("bad", [b"\xed\xa0\x80", b"\xc0\xaf", b"\xff", b"a\0b"], ids=["D800", "overlong", "FF", "0"])
def test_ill_formed_text_anywhere_ends_the_connection(version: Version, bad: bytes) -> None:
    long = len(bad).to_bytes(2) + bad
    none = b"\0" if version is NEW else b""
    head = b"\0\4MQTT" + bytes((version,))
    bodies = {
        "client id": (head + b"\2\0\0" + none + long, 0x10),
        "user name": (head + b"\x82\0\0" + none + text("c") + long, 0x10),
        "will topic": (head + b"\6\0\0" + none + text("c") + none + long + b"\0\0", 0x10),
    }
    for body, first in bodies.values():
        assert refused(bytes((first, len(body))) + body) == (Reason.MALFORMED_PACKET, [])
    later = {
        "topic": (long + none, 0x30),
        "filter": (b"\0\1" + none + long + b"\0", 0x82),
        "unsubscribed": (b"\0\1" + none + long, 0xA2),
    }
    if version is NEW:
        pair = b"\x26" + text("name") + long
        later["user property"] = (text("t") + bytes((len(pair),)) + pair, 0x30)
    for body, first in later.values():
        (ended,) = events(connected(version), bytes((first, len(body))) + body)
        assert ended.reason is Reason.MALFORMED_PACKET


@BOTH
def test_a_byte_order_mark_is_kept(version: Version) -> None:
    (delivery,) = deliveries(connected(version), publish("\ufefft/\ufeff", version=version))
    assert delivery.topic == "\ufefft/\ufeff"


@BOTH
@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in (Kind.WILL, Kind.PUBLISH)])
def test_reserved_flags_end_the_connection(version: Version, kind: Kind) -> None:
    right = 2 if kind in (Kind.PUBREL, Kind.SUBSCRIBE, Kind.UNSUBSCRIBE) else 0
    for flags in set(range(16)) - {right}:
        session = connected(version)
        (ended,) = events(session, bytes((kind << 4 | flags, 2, 0, 1)))
        assert ended.reason is Reason.MALFORMED_PACKET
        assert [type(packet) for packet in sent(session)] == ([Disconnect] if version is NEW else [])


@BOTH
def test_a_message_of_qos_0_has_no_packet_identifier(version: Version) -> None:
    none = b"\0" if version is NEW else b""
    body = text("t") + none + b"\0\7"
    (delivery,) = deliveries(connected(version), bytes((0x30, len(body))) + body)
    assert (delivery.payload, delivery.packet_id) == (b"\0\7", 0)


@BOTH
def test_a_second_connect_ends_the_session(version: Version) -> None:
    (ended,) = events(connected(version), connect(version))
    assert ended.reason is Reason.PROTOCOL_ERROR


@BOTH
def test_no_session_is_there_to_be_resumed(version: Version) -> None:
    """A second connection knows nothing of the first: no identifiers of QoS 2, no aliases, no wills."""
    for clean in (True, False):
        session = ServerSession(SessionLimits())
        session.receive_data(connect(version, clean_start=clean))
        session.next_event()
        session.accept()
        (connack,) = sent(session)
        assert isinstance(connack, ConnAck)
        assert (connack.reason, connack.session_present) == (Reason.SUCCESS, False)
        assert connack.properties.get(Property.SESSION_EXPIRY, 0) == 0


@BOTH
def test_flags_of_a_connect_and_its_fields_agree(version: Version) -> None:
    none = b"\0" if version is NEW else b""
    head = b"\0\4MQTT" + bytes((version,))
    will = none + text("w") + b"\0\1x"
    for flags, fields in (
        (0x0A, b""),
        (0x12, b""),
        (0x22, b""),
        (0x1E, will),
        (0x06, none + text("w")),
        (0x82, b""),
        (0x02, text("user")),
        (0xC2, text("user")),
        (0x82, text("user") + b"\0\1p"),
    ):
        body = head + bytes((flags, 0, 0)) + none + text("c") + fields
        assert refused(bytes((0x10, len(body))) + body) == (Reason.MALFORMED_PACKET, [])
    body = head + b"\xf6\0\0" + none + text("c") + will + text("user") + b"\0\1p"
    session = ServerSession(SessionLimits())
    session.receive_data(bytes((0x10, len(body))) + body)
    if version is OLD:
        event = session.next_event()
        assert isinstance(event, ConnectReceived)
        assert event.connect == Connect(OLD, "c", True, 0, "user", b"p", Will("w", b"x", 2, True))
    else:
        assert events(session)[0].reason is Reason.QOS_NOT_SUPPORTED


@BOTH
@pytest.mark.parametrize("topic", ["a/#", "+", ""], ids=["many", "one", "empty"])
def test_a_wills_topic_is_a_topic_name(version: Version, topic: str) -> None:
    assert refused(connect(version, will=Will(topic, b""))) == (Reason.TOPIC_NAME_INVALID, [])


@BOTH
def test_client_identifiers_of_the_standard_are_taken(version: Version) -> None:
    letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for client_id in (*letters, letters[:23], letters, "naïve id/#"):
        session = ServerSession(SessionLimits())
        session.receive_data(connect(version, client_id))
        event = session.next_event()
        assert isinstance(event, ConnectReceived)
        assert event.connect.client_id == client_id


def test_an_empty_client_identifier_is_taken_with_a_clean_session_of_3_1_1() -> None:
    session = ServerSession(SessionLimits())
    session.receive_data(connect(OLD, ""))
    assert isinstance(session.next_event(), ConnectReceived)


@BOTH
def test_a_malformed_connect_has_no_answer(version: Version) -> None:
    whole = connect(version, user_name="u", password=b"p")
    for cut in range(9, len(whole) - 2):
        broken = whole[:1] + bytes((cut - 2,)) + whole[2:cut]
        assert refused(broken) == (Reason.MALFORMED_PACKET, [])


@BOTH
def test_after_a_refusal_nothing_is_read(version: Version) -> None:
    session = ServerSession(SessionLimits())
    message = publish("t", version=version, qos=1, packet_id=1)
    session.receive_data(connect(version) + message)
    assert isinstance(session.next_event(), ConnectReceived)
    assert session.next_event() is None
    session.refuse(Reason.NOT_AUTHORIZED)
    assert [event.reason for event in events(session, message)] == [Reason.NOT_AUTHORIZED]
    (connack,) = sent(session)
    assert isinstance(connack, ConnAck)
    assert (connack.reason, connack.session_present) == (Reason.NOT_AUTHORIZED, False)


@BOTH
def test_what_is_sent_along_with_connect_waits_for_its_answer(version: Version) -> None:
    session = ServerSession(SessionLimits())
    session.receive_data(connect(version) + publish("t", version=version, qos=1, packet_id=1))
    assert isinstance(session.next_event(), ConnectReceived)
    session.accept()
    (event,) = events(session)
    session.settle(event.delivery)
    assert [type(packet) for packet in sent(session)] == [ConnAck, Ack]


def test_every_refusal_has_a_code_of_its_packet() -> None:
    """Of CONNACK in both versions, and of PUBACK, whatever the reason is."""
    for refusal in Refusal:
        if refusal is not Refusal.TOO_FAST:  # over HTTP alone
            assert refusal.reason in CONNACK_CODES
        assert RETURN_CODES.get(refusal.reason, 5) in range(1, 6)
    for reason in Reason:
        session = connected(NEW)
        (delivery,) = deliveries(session, publish("t", qos=1, packet_id=1))
        session.settle(delivery, reason, "why")
        (ack,) = sent(session)
        assert isinstance(ack, Ack)
        assert ack.reason in ACK_CODES
        assert (ack.reason >= 0x80) is (reason >= 0x80) or reason < 0x80


@BOTH
def test_an_empty_topic_ends_the_session(version: Version) -> None:
    (ended,) = events(connected(version), publish("", version=version, qos=1, packet_id=1))
    assert ended.reason in (Reason.TOPIC_NAME_INVALID, Reason.PROTOCOL_ERROR)


@pytest.mark.parametrize("topic", ["a/#", "+/a"])
def test_a_response_topic_has_no_wildcard(topic: str) -> None:
    made = publish("t", properties={Property.RESPONSE_TOPIC: topic})
    (ended,) = events(connected(NEW), made)
    assert ended.reason is Reason.PROTOCOL_ERROR


def test_a_client_names_no_subscription() -> None:
    body = text("t") + b"\2\x0b\1"
    (ended,) = events(connected(NEW), bytes((0x30, len(body))) + body)
    assert ended.reason is Reason.PROTOCOL_ERROR


def test_every_alias_up_to_the_maximum_is_taken_and_ends_with_its_connection() -> None:
    limits = SessionLimits(topic_aliases=5, receive_maximum=100)
    session = connected(NEW, limits)
    named = b"".join(publish(f"t/{alias}", properties={Property.TOPIC_ALIAS: alias}) for alias in range(1, 6))
    used = b"".join(publish("", properties={Property.TOPIC_ALIAS: alias}) for alias in range(1, 6))
    assert [delivery.topic for delivery in deliveries(session, named + used)] == [f"t/{n}" for n in range(1, 6)] * 2
    (ended,) = events(connected(NEW, limits), used)
    assert ended.reason is Reason.PROTOCOL_ERROR


def test_a_used_identifier_is_a_new_message_after_its_answer() -> None:
    session = connected(OLD)
    for dup in (False, True):
        (delivery,) = deliveries(session, publish("t", version=OLD, qos=1, packet_id=3, dup=dup))
        session.settle(delivery)
        assert sent(session) == [Ack(Kind.PUBACK, 3)]


def test_qos_2_that_is_sent_again_before_its_answer_is_put_once_and_answered_as_often() -> None:
    session = connected(OLD, SessionLimits(receive_maximum=3))
    again = publish("t", version=OLD, qos=2, packet_id=5, dup=True)
    (delivery,) = deliveries(session, again * 5)
    assert (session.window_full, sent(session)) == (True, [])
    session.settle(delivery)
    assert deliveries(session, b"") == []
    assert sent(session) == [Ack(Kind.PUBREC, 5)] * 5
    events(session, encode(Ack(Kind.PUBREL, 5), OLD))
    assert sent(session) == [Ack(Kind.PUBCOMP, 5)]
    assert len(deliveries(session, again)) == 1


@BOTH
def test_pings_and_goodbyes_are_heard_while_the_window_is_full(version: Version) -> None:
    session = connected(version, SessionLimits(receive_maximum=2))
    message = publish("t", version=version, qos=1, packet_id=1)
    waiting = deliveries(session, message + publish("t", version=version, qos=1, packet_id=2))
    assert (len(waiting), session.window_full) == (2, False)
    assert events(session, encode(Ping(Kind.PINGREQ), version)) == []
    assert sent(session) == [Ping(Kind.PINGRESP)]
    (ended,) = events(session, encode(Disconnect(), version))
    assert ended.by_client


@BOTH
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_subscription_of_any_qos_is_answered_in_the_order_of_its_filters(version: Version, qos: int) -> None:
    session = connected(version)
    filters = [("a/#", qos), ("b", qos), ("+", qos)]
    assert events(session, encode(Subscribe(9, filters), version)) == []
    code = Reason.NOT_AUTHORIZED if version is NEW else 0x80
    assert sent(session) == [Subscribed(Kind.SUBACK, 9, [code] * 3)]


@BOTH
@pytest.mark.parametrize("options", [3, 0x40, 0x80])
def test_reserved_bits_of_a_subscription_end_the_session(version: Version, options: int) -> None:
    (ended,) = events(connected(version), encode(Subscribe(9, [("a", options)]), version))
    assert ended.reason is Reason.MALFORMED_PACKET


@BOTH
def test_subscriptions_without_filters_end_the_session(version: Version) -> None:
    for packet in (Subscribe(9, []), Unsubscribe(9, [])):
        (ended,) = events(connected(version), encode(packet, version))
        assert ended.reason is Reason.PROTOCOL_ERROR


def test_a_shared_subscription_has_no_no_local() -> None:
    (ended,) = events(connected(NEW), encode(Subscribe(9, [("$share/g/a", 4)]), NEW))
    assert ended.reason is Reason.PROTOCOL_ERROR


def test_an_expiry_does_not_begin_with_the_end() -> None:
    data = encode(Disconnect(properties={Property.SESSION_EXPIRY: 60}), NEW)
    (ended,) = events(connected(NEW), data)
    assert (ended.reason, ended.by_client) == (Reason.PROTOCOL_ERROR, False)
    (ended,) = events(connected(NEW, properties={Property.SESSION_EXPIRY: 9}), data)
    assert ended.by_client


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(Version), st.integers(9, 200), st.data())
def test_this_side_sends_answers_alone(version: Version, most: int, data: st.DataObject) -> None:
    """Whatever comes: CONNACK first and once; then acknowledgements, PINGRESP; DISCONNECT last and in 5. No PUBLISH,
    no PUBREL, no AUTH. Nothing larger than the client takes, and codes that the packet has.
    """
    asked = {Property.MAXIMUM_PACKET_SIZE: most} if version is NEW else {}
    session, said = ServerSession(SessionLimits(receive_maximum=4)), []
    session.receive_data(connect(version, will=Will("w", b"gone"), properties=asked))
    for packet in [None, *data.draw(st.lists(packets(version), max_size=12))]:
        session.receive_data(encode(packet, version) if packet is not None else b"")
        while (event := session.next_event()) is not None:
            if isinstance(event, ConnectReceived):
                session.accept(told="a word")
            elif isinstance(event, MessageReceived):
                session.settle(event.delivery, data.draw(st.sampled_from(Reason)), "w" * 50)
        said += sent(session)
    session.end(Reason.SERVER_SHUTTING_DOWN, "going")
    said += sent(session)
    assert [place for place, packet in enumerate(said) if isinstance(packet, ConnAck)] in ([0], [])
    assert all(isinstance(packet, ConnAck | Ack | Subscribed | Ping | Disconnect) for packet in said)
    if version is NEW:
        assert all(len(encode(packet, version)) <= most for packet in said)
    for packet in said:
        if isinstance(packet, Disconnect):
            assert (version, packet is said[-1]) == (NEW, True)
            assert packet.reason in DISCONNECT_CODES
            assert set(packet.properties) <= {Property.REASON_STRING}
        elif isinstance(packet, Ack):
            codes = ACK_CODES if packet.kind is not Kind.PUBCOMP else {0x00, 0x92}
            assert packet.kind in (Kind.PUBACK, Kind.PUBREC, Kind.PUBCOMP)
            assert packet.reason in codes
