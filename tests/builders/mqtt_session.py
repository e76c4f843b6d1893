"""A server's session in a test: bytes in; events, packets and deliveries out."""

from typing import Any

from gateway.mqtt.decode import decode
from gateway.mqtt.framing import Framer
from gateway.mqtt.inbound import Delivery
from gateway.mqtt.packets import ConnAck, Packet, Version
from gateway.mqtt.session import ConnectReceived, MessageReceived, ServerSession, SessionLimits
from tests.builders.mqtt import connect


def connected(version: Version = Version.V5, limits: SessionLimits | None = None, **fields: Any) -> ServerSession:
    """A session that let its client in."""
    session = ServerSession(limits or SessionLimits())
    session.receive_data(connect(version, **fields))
    assert isinstance(session.next_event(), ConnectReceived)
    session.accept()
    assert isinstance(sent(session)[0], ConnAck)
    return session


def sent(session: ServerSession) -> list[Packet]:
    """What the server says, once."""
    framer = Framer(1 << 20)
    framer.feed(session.data_to_send())
    return [decode(frame, session.version) for frame in iter(framer.next, None)]


def events(session: ServerSession, data: bytes = b"") -> list[Any]:
    """What the bytes lead to."""
    session.receive_data(data)
    return list(iter(session.next_event, None))


def deliveries(session: ServerSession, data: bytes) -> list[Delivery]:
    """The messages in the bytes."""
    return [event.delivery for event in events(session, data) if isinstance(event, MessageReceived)]
