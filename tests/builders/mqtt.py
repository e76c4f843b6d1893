"""Builders of MQTT packets, and Hypothesis strategies of all that there are."""

from functools import cache
from typing import Any

from hypothesis import strategies as st

from gateway.mqtt.encode import encode
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
from gateway.mqtt.properties import PROPERTIES, Kind, Property
from gateway.mqtt.reasons import REASONS_OF_RETURN_CODES, Reason

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
_NAMES = st.characters(exclude_categories=["Cs"], exclude_characters="\0+#")
TOPIC = st.text(_NAMES, max_size=20)
DATA = st.binary(max_size=40)
PACKET_ID = st.integers(1, 65_535)
QOS = st.integers(0, 2)
_SMALL, _FLAG = st.integers(1, 255), st.integers(0, 1)
_VALUES: dict[Property, st.SearchStrategy[Any]] = {
    Property.MESSAGE_EXPIRY: st.integers(0, 2**32 - 1),
    Property.SESSION_EXPIRY: st.integers(0, 2**32 - 1),
    Property.WILL_DELAY: st.integers(0, 2**32 - 1),
    Property.MAXIMUM_PACKET_SIZE: st.integers(1, 2**32 - 1),
    Property.SUBSCRIPTION_IDENTIFIER: st.integers(1, 268_435_455),
    Property.SERVER_KEEP_ALIVE: st.integers(0, 65_535),
    Property.RECEIVE_MAXIMUM: st.integers(1, 65_535),
    Property.TOPIC_ALIAS_MAXIMUM: st.integers(0, 65_535),
    Property.TOPIC_ALIAS: _SMALL,
    Property.CORRELATION_DATA: DATA,
    Property.RESPONSE_TOPIC: TOPIC,
    Property.AUTHENTICATION_DATA: DATA,
    Property.USER_PROPERTY: st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=3),
    **dict.fromkeys(
        (
            *(Property.CONTENT_TYPE, Property.ASSIGNED_CLIENT_ID, Property.REASON_STRING),
            *(Property.AUTHENTICATION_METHOD, Property.RESPONSE_INFORMATION, Property.SERVER_REFERENCE),
        ),
        TEXT,
    ),
}


@cache
def properties(kind: Kind, version: Version) -> st.SearchStrategy[dict[Property, Any]]:
    """Any properties that the kind may have; none in 3.1.1."""
    if version is Version.V3_1_1:
        return st.just({})
    allowed = {key: _VALUES.get(key, _FLAG) for key, form in PROPERTIES.items() if kind in form.allowed}
    return st.fixed_dictionaries({}, optional=allowed)


@st.composite
def connects(draw: st.DrawFn, version: Version) -> Connect:
    will = st.builds(
        Will, st.text(_NAMES, min_size=1, max_size=20), DATA, QOS, st.booleans(), properties(Kind.WILL, version)
    )
    user = draw(st.none() | TEXT)
    password = draw(st.none() | DATA) if user is not None or version is Version.V5 else None
    return Connect(
        version,
        draw(TEXT),
        draw(st.booleans()),
        draw(st.integers(0, 65_535)),
        user,
        password,
        draw(st.none() | will),
        draw(properties(Kind.CONNECT, version)),
    )


@st.composite
def publishes(draw: st.DrawFn, version: Version) -> Publish:
    qos = draw(QOS)
    made = draw(properties(Kind.PUBLISH, version))
    packet_id = draw(PACKET_ID) if qos else 0
    return Publish(
        draw(TOPIC), draw(DATA), qos, packet_id, draw(st.booleans()), bool(qos) and draw(st.booleans()), made
    )


@cache
def packets(version: Version) -> st.SearchStrategy[Packet]:
    """Every packet of a version, from either side."""
    v5 = version is Version.V5
    reason = st.integers(0, 255) if v5 else st.just(0)
    codes = st.sampled_from(Reason) if v5 else st.sampled_from(list(REASONS_OF_RETURN_CODES.values()))
    options = st.integers(0, 2)
    made: list[st.SearchStrategy[Any]] = [
        connects(version),
        publishes(version),
        st.builds(ConnAck, codes, st.booleans(), properties(Kind.CONNACK, version)),
        st.builds(Disconnect, reason, properties(Kind.DISCONNECT, version)),
        st.builds(Ping, st.sampled_from([Kind.PINGREQ, Kind.PINGRESP])),
        *(
            st.builds(Ack, st.just(kind), PACKET_ID, reason, properties(kind, version))
            for kind in (Kind.PUBACK, Kind.PUBREC, Kind.PUBREL, Kind.PUBCOMP)
        ),
        st.builds(
            Subscribe,
            PACKET_ID,
            st.lists(st.tuples(TEXT, options), min_size=1, max_size=3),
            properties(Kind.SUBSCRIBE, version),
        ),
        st.builds(
            Unsubscribe, PACKET_ID, st.lists(TEXT, min_size=1, max_size=3), properties(Kind.UNSUBSCRIBE, version)
        ),
        st.builds(
            Subscribed,
            st.just(Kind.SUBACK),
            PACKET_ID,
            st.lists(st.integers(0, 255), max_size=3),
            properties(Kind.SUBACK, version),
        ),
    ]
    if v5:
        reasons = st.lists(st.integers(0, 255), max_size=3)
        made.append(
            st.builds(Subscribed, st.just(Kind.UNSUBACK), PACKET_ID, reasons, properties(Kind.UNSUBACK, version))
        )
        made.append(st.builds(Auth, reason, properties(Kind.AUTH, version)))
    return st.one_of(made)


def connect(version: Version = Version.V5, client_id: str = "d1", **fields: Any) -> bytes:
    """The bytes of a CONNECT."""
    return encode(Connect(version, client_id, **fields), version)


def publish(topic: str, payload: bytes = b"{}", *, version: Version = Version.V5, **fields: Any) -> bytes:
    """The bytes of a PUBLISH."""
    return encode(Publish(topic, payload, **fields), version)
