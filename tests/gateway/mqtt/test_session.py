"""The server's side of a connection: who may come in, in which order answers leave, and how a session ends."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.mqtt.client import ClientSession
from gateway.mqtt.encode import encode
from gateway.mqtt.inbound import MOST_UNRELEASED, Delivery
from gateway.mqtt.packets import (
    Ack,
    ConnAck,
    Disconnect,
    Ping,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Version,
    Will,
)
from gateway.mqtt.properties import Kind, Property
from gateway.mqtt.reasons import Reason
from gateway.mqtt.session import (
    ConnectReceived,
    Ended,
    MessageReceived,
    ServerSession,
    SessionLimits,
)
from tests.builders.mqtt import connect, packets, publish
from tests.builders.mqtt_session import connected, deliveries, events, sent

BOTH = pytest.mark.parametrize("version", list(Version), ids=["3.1.1", "5"])
OLD, NEW = Version.V3_1_1, Version.V5


@BOTH
def test_a_message_is_answered_once_it_is_settled(version: Version) -> None:
    session = connected(version)
    (delivery,) = deliveries(session, publish("t", b"x", version=version, qos=1, packet_id=7))
    assert (delivery.topic, delivery.payload, sent(session)) == ("t", b"x", [])
    session.settle(delivery)
    assert sent(session) == [Ack(Kind.PUBACK, 7)]
    session.settle(delivery)
    assert sent(session) == []


@given(st.permutations(range(8)))
def test_answers_leave_in_the_order_of_their_messages(order: list[int]) -> None:
    session = connected()
    data = b"".join(publish("t", qos=1, packet_id=number + 1) for number in range(8))
    waiting = deliveries(session, data)
    answered = []
    for place in order:
        session.settle(waiting[place])
        answered += [packet.packet_id for packet in sent(session) if isinstance(packet, Ack)]
        settled = {delivery.packet_id for delivery in waiting if delivery.outcome is not None}
        assert set(answered) <= settled
    assert answered == list(range(1, 9))


def test_a_refusal_is_told_in_5_and_ends_3_1_1() -> None:
    new, old = connected(NEW), connected(OLD)
    for session in (new, old):
        version = session.version
        (delivery,) = deliveries(session, publish("t", version=version, qos=1, packet_id=1))
        session.settle(delivery, Reason.QUOTA_EXCEEDED, "the stream is busy")
    said = Ack(Kind.PUBACK, 1, Reason.QUOTA_EXCEEDED, {Property.REASON_STRING: "the stream is busy"})
    assert sent(new) == [said]
    assert (sent(old), events(old)) == ([], [Ended(Reason.QUOTA_EXCEEDED, "the stream is busy")])


def test_a_full_window_waits_in_the_buffer() -> None:
    session = connected(limits=SessionLimits(receive_maximum=3))
    data = b"".join(publish("t", qos=number % 2, packet_id=number if number % 2 else 0) for number in range(1, 10))
    seen = deliveries(session, data)
    assert (len(seen), session.window_full, session.open_deliveries) == (3, True, 3)
    while len(seen) < 9:
        session.settle(seen[len(seen) - 3])
        seen += deliveries(session, b"")
        assert session.open_deliveries <= 3


def test_qos_2_of_3_1_1_is_put_once() -> None:
    session = connected(OLD)
    message = publish("t", version=OLD, qos=2, packet_id=5)
    (delivery,) = deliveries(session, message)
    session.settle(delivery)
    assert sent(session) == [Ack(Kind.PUBREC, 5)]
    assert deliveries(session, publish("t", version=OLD, qos=2, packet_id=5, dup=True)) == []
    assert sent(session) == [Ack(Kind.PUBREC, 5)]
    assert events(session, encode(Ack(Kind.PUBREL, 5), OLD)) == []
    assert sent(session) == [Ack(Kind.PUBCOMP, 5)]
    assert len(deliveries(session, message)) == 1


def test_a_client_that_never_releases_is_ended() -> None:
    session, ended = connected(OLD), []
    for number in range(MOST_UNRELEASED + 1):
        for event in events(session, publish("t", version=OLD, qos=2, packet_id=number + 1)):
            session.settle(event.delivery)
        ended = events(session)
    assert ended[0].reason is Reason.QUOTA_EXCEEDED


def test_topic_aliases_stand_for_their_topic() -> None:
    session = connected()
    alias = {Property.TOPIC_ALIAS: 2}
    data = publish("t/1", properties=alias) + publish("", properties=alias) + publish("t/2", properties=alias)
    assert [delivery.topic for delivery in deliveries(session, data + publish("", properties=alias))] == [
        *("t/1", "t/1"),
        *("t/2", "t/2"),
    ]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (publish("t", retain=True), Reason.RETAIN_NOT_SUPPORTED),
        (publish("t", qos=2, packet_id=1), Reason.QOS_NOT_SUPPORTED),
        (publish("t", properties={Property.TOPIC_ALIAS: 17}), Reason.TOPIC_ALIAS_INVALID),
        (publish("t", properties={Property.TOPIC_ALIAS: 0}), Reason.TOPIC_ALIAS_INVALID),
        (publish("", properties={Property.TOPIC_ALIAS: 3}), Reason.PROTOCOL_ERROR),
        (publish(""), Reason.PROTOCOL_ERROR),
        (connect(), Reason.PROTOCOL_ERROR),
        (b"\xf0\x02\x18\x00", Reason.PROTOCOL_ERROR),
        (b"\xd0\x00", Reason.PROTOCOL_ERROR),
        (b"\x40\x02\x00\x01", Reason.PROTOCOL_ERROR),
        (b"\x20\x03\x00\x00\x00", Reason.PROTOCOL_ERROR),
        (b"\x30\xff\xff\x7f", Reason.PACKET_TOO_LARGE),
        (b"\x00\x00", Reason.MALFORMED_PACKET),
    ],
    ids=[
        *("retain", "QoS 2", "alias too large", "alias 0", "unknown alias", "no topic", "second CONNECT", "AUTH"),
        *("PINGRESP", "PUBACK", "CONNACK", "too large", "type 0"),
    ],
)
def test_what_5_forbids_ends_the_session_with_its_reason(data: bytes, reason: Reason) -> None:
    session = connected()
    (ended,) = events(session, data)
    assert (type(ended), ended.reason) == (Ended, reason)
    (said,) = sent(session)
    assert (type(said), said.reason) == (Disconnect, reason)
    assert events(session, publish("t")) == []


def test_what_3_1_1_may_do_and_5_may_not() -> None:
    session = connected(OLD)
    assert len(deliveries(session, publish("t", version=OLD, retain=True))) == 1


@BOTH
def test_subscriptions_are_refused_and_pings_answered(version: Version) -> None:
    session = connected(version)
    data = encode(Subscribe(3, [("a/#", 1), ("b", 0)]), version) + encode(Unsubscribe(4, ["a/#"]), version)
    assert events(session, data + encode(Ping(Kind.PINGREQ), version)) == []
    refused = [Reason.NOT_AUTHORIZED] * 2 if version is NEW else [0x80] * 2
    unknown = [Reason.NO_SUBSCRIPTION_EXISTED] if version is NEW else []
    assert sent(session) == [
        Subscribed(Kind.SUBACK, 3, list(refused)),
        Subscribed(Kind.UNSUBACK, 4, list(unknown)),
        Ping(Kind.PINGRESP),
    ]


def test_5_is_told_what_the_server_has() -> None:
    session = ServerSession(SessionLimits(receive_maximum=9, packet_bytes=4_000, longest_keep_alive_s=100))
    session.receive_data(connect(NEW, "", keep_alive_s=600))
    session.next_event()
    session.accept(assigned_id="d1", told="wills are not kept")
    (connack,) = sent(session)
    told = connack.properties
    assert (told[Property.RECEIVE_MAXIMUM], told[Property.MAXIMUM_PACKET_SIZE]) == (9, 4_000)
    assert (told[Property.MAXIMUM_QOS], told[Property.RETAIN_AVAILABLE], told[Property.SESSION_EXPIRY]) == (1, 0, 0)
    assert (told[Property.SERVER_KEEP_ALIVE], session.keep_alive_s) == (100, 100)
    assert (told[Property.ASSIGNED_CLIENT_ID], told[Property.REASON_STRING]) == ("d1", "wills are not kept")


@pytest.mark.parametrize(
    ("data", "version", "reason"),
    [
        (connect(NEW, properties={Property.AUTHENTICATION_METHOD: "x"}), NEW, Reason.BAD_AUTHENTICATION_METHOD),
        (connect(NEW, will=Will("t", b"", 2)), NEW, Reason.QOS_NOT_SUPPORTED),
        (connect(NEW, will=Will("t", b"", 0, True)), NEW, Reason.RETAIN_NOT_SUPPORTED),
        (connect(OLD, "", clean_start=False), OLD, Reason.CLIENT_IDENTIFIER_NOT_VALID),
        (b"\x10\x0c\0\4MQTT\x06\2\0\0\0\0", OLD, Reason.UNSUPPORTED_PROTOCOL_VERSION),
    ],
    ids=["enhanced authentication", "will of QoS 2", "retained will", "no id and a kept session", "level 6"],
)
def test_a_connect_that_asks_too_much_is_refused(data: bytes, version: Version, reason: Reason) -> None:
    session = ServerSession(SessionLimits())
    (ended,) = events(session, data)
    assert ended.reason is reason
    (connack,) = sent(session)
    assert (session.version, type(connack), connack.reason) == (version, ConnAck, reason)


def test_before_connect_nothing_is_answered() -> None:
    for data in (publish("t"), b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\n"):
        session = ServerSession(SessionLimits())
        (ended,) = events(session, data)
        assert (ended.reason >= 0x80, sent(session)) == (True, [])


def test_a_client_without_interest_in_words_is_told_none() -> None:
    quiet = connected(properties={Property.REQUEST_PROBLEM_INFORMATION: 0})
    narrow = connected(properties={Property.MAXIMUM_PACKET_SIZE: 60})
    for session in (quiet, narrow):
        (delivery,) = deliveries(session, publish("t", qos=1, packet_id=1))
        session.settle(delivery, Reason.QUOTA_EXCEEDED, "w" * 100)
        assert sent(session) == [Ack(Kind.PUBACK, 1, Reason.QUOTA_EXCEEDED)]


def test_take_over_and_goodbye() -> None:
    session = connected()
    session.end(Reason.SESSION_TAKEN_OVER)
    assert (sent(session), [event.reason for event in events(session)]) == (
        [Disconnect(Reason.SESSION_TAKEN_OVER)],
        [Reason.SESSION_TAKEN_OVER],
    )
    leaving = connected()
    (ended,) = events(leaving, encode(Disconnect(), NEW))
    assert ended.by_client


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(Version), st.data())
def test_no_sequence_of_packets_breaks_a_session(version: Version, data: st.DataObject) -> None:
    """Any packets, some damaged, from the first byte on: events, an end with a reason, and a bounded window."""
    session = ServerSession(SessionLimits(receive_maximum=4))
    if data.draw(st.booleans()):
        session = connected(version, SessionLimits(receive_maximum=4))
    waiting: list[Delivery] = []
    for packet in data.draw(st.lists(packets(version), max_size=12)):
        piece = bytearray(encode(packet, version))
        if data.draw(st.integers(0, 3)) == 0:
            piece[data.draw(st.integers(0, len(piece) - 1))] = data.draw(st.integers(0, 255))
        session.receive_data(bytes(piece))
        while (event := session.next_event()) is not None:
            if isinstance(event, ConnectReceived):
                session.accept()
            elif isinstance(event, MessageReceived):
                waiting.append(event.delivery)
            else:
                assert event.by_client or event.reason >= 0x80
        assert session.open_deliveries <= 4
        session.data_to_send()
        if waiting and data.draw(st.booleans()):
            session.settle(waiting.pop(0))


@BOTH
def test_client_and_server_understand_each_other(version: Version) -> None:
    server, client = ServerSession(SessionLimits(receive_maximum=5)), ClientSession(version)
    server.receive_data(client.connect("d1", user_name="d1", password=b"secret"))
    event = server.next_event()
    assert isinstance(event, ConnectReceived)
    assert (event.connect.user_name, event.connect.password) == ("d1", b"secret")
    server.accept()
    client.receive(server.data_to_send())
    assert client.connack is not None
    assert client.room == (5 if version is NEW else 65_535)
    packet_id, data = client.publish("t", b"x")
    (delivery,) = deliveries(server, data)
    server.settle(delivery)
    (answer,) = client.receive(server.data_to_send())
    assert (answer.packet_id, answer.reason, client.waiting) == (packet_id, 0, set())
