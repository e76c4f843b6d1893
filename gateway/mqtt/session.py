"""The server's side of one connection: bytes in, events out, decisions in, bytes out. No socket, no clock, no task.

session.receive_data(data)
while (event := session.next_event()) is not None: ...
session.accept(...), session.settle(delivery, ...), session.end(...)
transport.write(session.data_to_send())
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from gateway.mqtt.decode import decode
from gateway.mqtt.encode import encode
from gateway.mqtt.framing import Framer
from gateway.mqtt.inbound import Delivery, Inbound
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
from gateway.mqtt.properties import Kind, Properties, Property
from gateway.mqtt.reasons import ACK_REASONS, MqttError, Reason, protocol_error

_CONNECT = Kind.CONNECT << 4
_FAILURE_3_1_1 = 0x80
"""SUBACK of a refused filter in 3.1.1 (3.9.3)."""
_PUBACK = {packet_id: bytes((Kind.PUBACK << 4, 2)) + packet_id.to_bytes(2) for packet_id in range(1, 257)}
"""The answers that a server gives most, made once."""
_PINGRESP = encode(Ping(Kind.PINGRESP), Version.V5)


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What one connection may do. Sizes in bytes."""

    packet_bytes: int = 64 * 1024
    receive_maximum: int = 20
    topic_aliases: int = 16
    longest_keep_alive_s: int = 1_200


class State(Enum):
    """Where a connection is."""

    EXPECTS_CONNECT = auto()
    AUTHENTICATING = auto()
    CONNECTED = auto()
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class ConnectReceived:
    """A client introduced itself; answer with `accept` or `refuse`."""

    connect: Connect


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message arrived; answer with `settle`, QoS 0 too."""

    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over: send what there is to send, and close. by_client: it said goodbye."""

    reason: Reason
    text: str
    by_client: bool = False


Event = ConnectReceived | MessageReceived | Ended


class ServerSession:
    """One connection of a device.

    Promises
    - Whatever bytes come, nothing is raised but what the caller did wrong; a broken rule makes `Ended`.
    - PUBACK and PUBREC leave in the order of their PUBLISH (4.6), each only after its delivery was settled.
    - No more deliveries are open than the receive maximum: a further PUBLISH waits in the buffer (`window_full`), so
      that a client that ignores it is slowed, not cut.
    """

    def __init__(self, limits: SessionLimits) -> None:
        self.state = State.EXPECTS_CONNECT
        self.version = Version.V5
        self.keep_alive_s = 0
        self._limits = limits
        self._framer = Framer(limits.packet_bytes)
        self._out: list[bytes] = []
        self._inbound = Inbound(limits.receive_maximum, limits.topic_aliases)
        self._client_packet_bytes = 0
        self._asked_expiry_s = 0
        self._tells_reasons = True
        self._names_keep_alive = False
        self._ended: Ended | None = None

    @property
    def window_full(self) -> bool:
        """Whether a message is there that has to wait for answers to earlier ones; do not read on.

        All other packets are handled while as many messages are open as may be (4.9).
        """
        if not self._inbound.is_full:
            return False
        first = self._framer.next_first
        return first is not None and first >> 4 == Kind.PUBLISH

    @property
    def open_deliveries(self) -> int:
        """Messages that are not settled."""
        return self._inbound.open

    def receive_data(self, data: bytes) -> None:
        """Take received bytes."""
        if self.state is State.ENDED:
            return
        if self.state is State.EXPECTS_CONNECT and not self._framer.buffered and data and data[0] != _CONNECT:
            # Other protocols are known by their first byte; what their second says about a length is no length.
            self._end(Reason.PROTOCOL_ERROR, f"the first byte is 0x{data[0]:02X}: no CONNECT")
            return
        self._framer.feed(data)

    def next_event(self) -> Event | None:
        """The next event; None where more bytes, the answer to CONNECT or a settled delivery is needed first."""
        try:
            while self.state is not State.ENDED:
                if self.state is State.AUTHENTICATING or self.window_full:
                    return None
                frame = self._framer.next()
                if frame is None:
                    return None
                event = self._handle(decode(frame, self.version))
                if event is not None:
                    return event
        except MqttError as error:
            self._fail(error)
        return self._take_end()

    def data_to_send(self) -> bytes:
        """What is to be written, once."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def accept(self, *, assigned_id: str | None = None, told: str = "") -> None:
        """Let the client in. assigned_id: where it named none; told: what it should know, in the reason string."""
        self.state = State.CONNECTED
        properties: Properties = {}
        if self.version is Version.V5:
            properties = self._offer()
            if assigned_id is not None:
                properties[Property.ASSIGNED_CLIENT_ID] = assigned_id
            if told and self._tells_reasons:
                properties[Property.REASON_STRING] = told
        self._send(ConnAck(Reason.SUCCESS, properties=properties))

    def refuse(self, reason: Reason, text: str = "") -> None:
        """Answer CONNECT with a refusal; the session is over."""
        self._send(ConnAck(reason, properties=self._explained(text)))
        self._end(reason, text)

    def settle(self, delivery: Delivery, outcome: Reason = Reason.SUCCESS, text: str = "") -> None:
        """Say what became of a message. In 3.1.1, which has no refusal of a message, a refusal ends the session."""
        if delivery.outcome is not None:
            return
        self._inbound.settle(delivery, outcome, text)
        if self.state is not State.CONNECTED:
            return
        if outcome and self.version is Version.V3_1_1:
            self._end(outcome, text)
        else:
            self._answer_what_is_due()

    def end(self, reason: Reason, text: str = "") -> None:
        """End the session from this side. A client of 5 is told why."""
        if self.state is State.CONNECTED and self.version is Version.V5:
            self._send(Disconnect(reason, self._explained(text)))
        if self.state is not State.ENDED:
            self._end(reason, text)

    def _handle(self, packet: Packet) -> Event | None:
        if self.state is State.EXPECTS_CONNECT:
            return self._connect(packet)
        if type(packet) is Publish:
            return self._publish(packet)
        handler = _HANDLERS.get(type(packet))
        if handler is None:
            raise protocol_error(f"a client does not send this packet now: {type(packet).__name__}")
        return handler(self, packet)

    def _connect(self, packet: Packet) -> Event:
        if not isinstance(packet, Connect):
            raise protocol_error("the first packet is not CONNECT")
        self.version = packet.version
        self.state = State.AUTHENTICATING
        self._tells_reasons = packet.properties.get(Property.REQUEST_PROBLEM_INFORMATION, 1) == 1
        self._client_packet_bytes = packet.properties.get(Property.MAXIMUM_PACKET_SIZE, 0)
        self._asked_expiry_s = packet.properties.get(Property.SESSION_EXPIRY, 0)
        self._check(packet)
        longest = self._limits.longest_keep_alive_s
        asked = packet.keep_alive_s or longest
        self.keep_alive_s = asked if self.version is Version.V3_1_1 else min(asked, longest)
        self._names_keep_alive = self.keep_alive_s != packet.keep_alive_s
        return ConnectReceived(packet)

    def _check(self, packet: Connect) -> None:
        """What a CONNECT may not ask for."""
        if Property.AUTHENTICATION_METHOD in packet.properties:
            raise MqttError(Reason.BAD_AUTHENTICATION_METHOD, "there is no enhanced authentication here")
        if Property.AUTHENTICATION_DATA in packet.properties:
            raise protocol_error("authentication data without a method")
        if not packet.client_id and not packet.clean_start and packet.version is Version.V3_1_1:
            raise MqttError(Reason.CLIENT_IDENTIFIER_NOT_VALID, "an empty client identifier needs a clean session")
        if packet.will is not None and packet.version is Version.V5:
            # 3.2.2.3.4 and 3.2.2.3.5: what the server does not have, a will may not ask for.
            if packet.will.qos > 1:
                raise MqttError(Reason.QOS_NOT_SUPPORTED, "the will has QoS 2")
            if packet.will.retain:
                raise MqttError(Reason.RETAIN_NOT_SUPPORTED, "the will is to be retained")

    def _offer(self) -> Properties:
        """What the server has, for CONNACK."""
        limits = self._limits
        offer: Properties = {
            Property.RECEIVE_MAXIMUM: limits.receive_maximum,
            Property.MAXIMUM_QOS: 1,
            Property.RETAIN_AVAILABLE: 0,
            Property.MAXIMUM_PACKET_SIZE: limits.packet_bytes,
            Property.TOPIC_ALIAS_MAXIMUM: limits.topic_aliases,
            Property.SESSION_EXPIRY: 0,
            Property.WILDCARD_AVAILABLE: 0,
            Property.SUBSCRIPTION_IDENTIFIERS_AVAILABLE: 0,
            Property.SHARED_AVAILABLE: 0,
        }
        if self._names_keep_alive:
            offer[Property.SERVER_KEEP_ALIVE] = self.keep_alive_s
        return offer

    def _publish(self, packet: Publish) -> Event | None:
        delivery = self._inbound.receive(packet, self.version)
        if delivery is not None:
            return MessageReceived(delivery)
        self._answer_what_is_due()
        return None

    def _release(self, packet: Ack) -> None:
        if packet.kind is not Kind.PUBREL:
            raise protocol_error(f"a {packet.kind.name} for a message that was never sent")
        known = self._inbound.release(packet.packet_id)
        reason = Reason.SUCCESS if known else Reason.PACKET_IDENTIFIER_NOT_FOUND
        self._send(Ack(Kind.PUBCOMP, packet.packet_id, reason))

    def _refuse_subscription(self, packet: Subscribe) -> None:
        code = Reason.NOT_AUTHORIZED if self.version is Version.V5 else _FAILURE_3_1_1
        self._send(Subscribed(Kind.SUBACK, packet.packet_id, [code] * len(packet.filters)))

    def _unsubscribe(self, packet: Unsubscribe) -> None:
        reasons: list[int] = [Reason.NO_SUBSCRIPTION_EXISTED] * len(packet.filters)
        self._send(Subscribed(Kind.UNSUBACK, packet.packet_id, reasons))

    def _ping(self, packet: Ping) -> None:
        if packet.kind is not Kind.PINGREQ:
            raise protocol_error("a client sends no PINGRESP")
        self._out.append(_PINGRESP)

    def _goodbye(self, packet: Disconnect) -> Ended:
        if packet.properties.get(Property.SESSION_EXPIRY) and not self._asked_expiry_s:
            # 3.14.2.2.2: what CONNECT did not ask for cannot begin with the end.
            raise protocol_error("a session expiry interval, where CONNECT had none")
        self.state = State.ENDED
        return Ended(Reason.SUCCESS, f"the client ended with 0x{packet.reason:02X}", by_client=True)

    def _again(self, _: Packet) -> None:
        raise protocol_error("a second CONNECT, or AUTH without a method")

    def _answer_what_is_due(self) -> None:
        for delivery in self._inbound.due():
            reason = delivery.outcome or Reason.SUCCESS
            made = _PUBACK.get(delivery.packet_id) if delivery.qos == 1 and not reason else None
            if made is not None:
                self._out.append(made)
                continue
            kind = Kind.PUBACK if delivery.qos == 1 else Kind.PUBREC
            code = reason if reason in ACK_REASONS else Reason.IMPLEMENTATION_SPECIFIC_ERROR
            self._send(Ack(kind, delivery.packet_id, code, self._explained(delivery.text)))
        if self._inbound.unreleased_too_many:
            self._end(Reason.QUOTA_EXCEEDED, "too many messages of QoS 2 wait for their PUBREL")

    def _explained(self, text: str) -> Properties:
        """The text as reason string, where the client wants one."""
        if not text or not self._tells_reasons or self.version is not Version.V5:
            return {}
        return {Property.REASON_STRING: text}

    def _send(self, packet: Packet) -> None:
        data = encode(packet, self.version)
        if 0 < self._client_packet_bytes < len(data):
            # 3.1.2.11.4: a packet larger than the client takes is not sent; one without its words is small enough.
            short = _without_words(packet)
            data = encode(short, self.version) if short is not None else data
            if len(data) > self._client_packet_bytes:
                return
        self._out.append(data)

    def _fail(self, error: MqttError) -> None:
        """A broken rule: say so in the way that the state and version have, and end."""
        if self.state is State.AUTHENTICATING:
            self.refuse(error.reason, str(error))
        elif self.state is State.EXPECTS_CONNECT:
            if error.reason is Reason.UNSUPPORTED_PROTOCOL_VERSION:
                # The client's version is unknown; return code 1 of 3.1.1 is understood most widely (3.1.1: 3.1.2.2).
                self.version = Version.V3_1_1
                self._send(ConnAck(error.reason))
            self._end(error.reason, str(error))
        else:
            self.end(error.reason, str(error))

    def _end(self, reason: Reason, text: str) -> None:
        if self.state is not State.ENDED:
            self.state = State.ENDED
            self._ended = Ended(reason, text)

    def _take_end(self) -> Ended | None:
        ended, self._ended = self._ended, None
        return ended


def _without_words(packet: Packet) -> Packet | None:
    """The packet without reason string; None where it has none."""
    if not isinstance(packet, ConnAck | Ack | Disconnect) or Property.REASON_STRING not in packet.properties:
        return None
    rest: Properties = {key: value for key, value in packet.properties.items() if key is not Property.REASON_STRING}
    if isinstance(packet, ConnAck):
        return ConnAck(packet.reason, packet.session_present, rest)
    if isinstance(packet, Ack):
        return Ack(packet.kind, packet.packet_id, packet.reason, rest)
    return Disconnect(packet.reason, rest)


_HANDLERS: dict[type[Any], Callable[[ServerSession, Any], Event | None]] = {
    Ack: ServerSession._release,
    Subscribe: ServerSession._refuse_subscription,
    Unsubscribe: ServerSession._unsubscribe,
    Ping: ServerSession._ping,
    Disconnect: ServerSession._goodbye,
    Connect: ServerSession._again,
    Auth: ServerSession._again,
}
"""What a connected client may send besides PUBLISH."""
